"""The command `vaultr rotate`, which rotates the keys of vaults."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output
from vaultr.client.cli.completers import vault_names
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.cli.step_up import step_up
from vaultr.client.errors import StepUpRequired

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Rotated, Vaultr


@command("rotate", "vaultr rotate Work", "vaultr rotate")
@click.argument("vault", required=False, shell_complete=vault_names)
@click.option("--anew", "restart", is_flag=True, help="Start a new rotation even if one is running")
@pass_options
def rotate(options: GlobalOptions, vault: str | None, restart: bool) -> None:
    """Rotate the keys of one vault, or of all vaults.

    Active items are sealed again under the new keys. Trash and earlier versions keep their old keys
    and can still be opened. If a rotation is interrupted, run the command again on any device.
    """
    with unlocked_sdk(options) as vaultr:
        rotated = _rotate(options, vaultr, vault, restart=restart)
    if options.json:
        output.print_json([_json(each) for each in rotated])
        return
    for each in rotated:
        verb = "continued" if each.resumed else "rotated"
        name = output.printable(each.name)
        count = output.items(each.moved)
        output.print_line(f"{name}: {verb}, {count} encrypted with new keys.")


def rotate_vault(options: GlobalOptions, vaultr: "Vaultr", vault: str) -> "list[Rotated]":
    """Rotate the keys of one vault, even if another rotation is running."""
    return _rotate(options, vaultr, vault, restart=True)


def _rotate(
    options: GlobalOptions, vaultr: "Vaultr", vault: str | None, *, restart: bool
) -> "list[Rotated]":
    progress = _progress()
    try:
        return vaultr.rotate(vault, restart=restart, progress=progress)
    except StepUpRequired:
        # A running rotation continues without it.
        step_up(options, vaultr)
        return vaultr.rotate(vault, restart=restart, progress=progress)


def _progress() -> Callable[[int, int], None]:
    """Return a function that prints ``Resealed 300 of 1200 items``, on a terminal in one line."""
    overwrites = sys.stderr.isatty()

    def show(count: int, total: int) -> None:
        text = f"Resealed {count} of {output.items(total)}"
        if overwrites:
            click.echo(f"\r{text}", err=True, nl=count == total)
        else:
            click.echo(text, err=True)

    return show


def _json(rotated: "Rotated") -> dict[str, object]:
    return {
        "vault_id": str(rotated.vault_id),
        "name": rotated.name,
        "generation": rotated.generation,
        "moved": rotated.moved,
        "resumed": rotated.resumed,
    }
