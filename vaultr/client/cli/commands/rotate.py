"""The rotate command: new keys for vaults."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output
from vaultr.client.cli.completers import vault_names
from vaultr.client.cli.options import Choices, command, pass_choices
from vaultr.client.cli.progress import items_moved
from vaultr.client.cli.sdk_session import opened
from vaultr.client.cli.step_up import proven
from vaultr.client.errors import StepUpRequired

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Rotated, Vaultr


@command("rotate", "vaultr rotate Work", "vaultr rotate")
@click.argument("vault", required=False, shell_complete=vault_names)
@click.option("--anew", is_flag=True, help="Begin newer keys even while a rotation is running.")
@pass_choices
def rotate(choices: Choices, vault: str | None, anew: bool) -> None:
    """Give VAULT, or all vaults, new keys.

    Everything active is sealed anew; the trash and old versions stay as they are, and open still.
    Interrupted at any point, it goes on when it is typed again, on any device.
    """
    with opened(choices) as vaultr:
        rotated = _rotated(choices, vaultr, vault, anew=anew)
    if choices.json:
        output.as_json([_json(each) for each in rotated])
        return
    for each in rotated:
        how = "went on" if each.resumed else "done"
        name = output.printable(each.name)
        output.say(f"{name}: {how}, {output.items(each.moved)} moved to keys {each.generation}.")


def _rotated(
    choices: Choices, vaultr: "Vaultr", vault: str | None, *, anew: bool
) -> "list[Rotated]":
    progress = items_moved("Moved")
    try:
        return vaultr.rotate(vault, restart=anew, progress=progress)
    except StepUpRequired:
        # One that is running already goes on without it.
        proven(choices, vaultr)
        return vaultr.rotate(vault, restart=anew, progress=progress)


def _json(rotated: "Rotated") -> dict[str, object]:
    return {
        "vault_id": str(rotated.vault_id),
        "name": rotated.name,
        "generation": rotated.generation,
        "moved": rotated.moved,
        "resumed": rotated.resumed,
    }
