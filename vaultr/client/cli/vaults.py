"""Commands about vaults as a whole: vaults list, add and rename, and sync."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import showing
from vaultr.client.cli.opening import opened
from vaultr.client.cli.options import Choices, Group, command, pass_choices
from vaultr.client.errors import IntegrityError

if TYPE_CHECKING:
    from vaultr.client.api import SyncReport, VaultInfo


@click.group("vaults", cls=Group, examples=("vaultr vaults list", "vaultr vaults add Work"))
def vaults() -> None:
    """List, make and rename vaults."""


@command("list", "vaultr vaults list --json")
@pass_choices
def list_vaults(choices: Choices) -> None:
    """List the vaults of the account."""
    with opened(choices) as vaultr:
        found = vaultr.vaults()
    if choices.json:
        showing.as_json([_vault_json(vault) for vault in found])
        return
    head = ("NAME", "ITEMS", "TRASH", "REVISION", "HEAD", "ID")
    showing.table(head, map(_row, found))


def _row(vault: "VaultInfo") -> tuple[str, ...]:
    counts = (vault.active, vault.trash, vault.n)
    return (vault.name, *map(str, counts), vault.head, str(vault.id))


@command("add", "vaultr vaults add Work", no_args_is_help=True)
@click.argument("name")
@pass_choices
def add_vault(choices: Choices, name: str) -> None:
    """Make a vault called NAME, with keys of its own."""
    with opened(choices) as vaultr:
        made = vaultr.create_vault(name)
    _answer(choices, made, "Made")


@command("rename", "vaultr vaults rename Work Office", no_args_is_help=True)
@click.argument("vault")
@click.argument("name")
@pass_choices
def rename_vault(choices: Choices, vault: str, name: str) -> None:
    """Give VAULT, named by its id or name, the NAME."""
    with opened(choices) as vaultr:
        renamed = vaultr.rename_vault(vault, name)
    _answer(choices, renamed, "Renamed")


def _answer(choices: Choices, vault: "VaultInfo", done: str) -> None:
    if choices.json:
        showing.as_json(_vault_json(vault))
    else:
        showing.say(f"{done}: {showing.printable(vault.name)} ({vault.id})")


def _vault_json(vault: "VaultInfo") -> dict[str, object]:
    return {
        "id": str(vault.id),
        "name": vault.name,
        "role": vault.role,
        "revision": vault.n,
        "head": vault.head,
        "counts": {"active": vault.active, "trash": vault.trash},
    }


for each in (list_vaults, add_vault, rename_vault):
    vaults.add_command(each)


@command("sync", "vaultr sync", "vaultr sync --explain")
@click.option(
    "--explain", is_flag=True, help="Only list in which items this device and the server differ."
)
@pass_choices
def sync(choices: Choices, explain: bool) -> None:
    """Fetch what is new, and check it.

    What comes must continue what this device knows; if it does not, nothing is taken over.

    The revision and the short head can be compared with those of another device.
    """
    if explain:
        _explain(choices)
        return
    with opened(choices) as vaultr:
        reports = vaultr.sync()
    if choices.json:
        showing.as_json([_report_json(each) for each in reports])
        return
    head = ("VAULT", "REVISION", "HEAD", "RECEIVED", "REMOVED")
    rows = ((r.name, str(r.n), r.head, str(r.received), str(r.removed)) for r in reports)
    showing.table(head, rows)


def _report_json(report: "SyncReport") -> dict[str, object]:
    return {
        "id": str(report.id),
        "name": report.name,
        "revision": report.n,
        "head": report.head,
        "received": report.received,
        "removed": report.removed,
    }


def _explain(choices: Choices) -> None:
    with opened(choices) as vaultr:
        differences = vaultr.explain()
    if choices.json:
        showing.as_json(
            [
                {
                    "vault_id": str(each.vault_id),
                    "item_id": each.item_id and str(each.item_id),
                    "how": each.how,
                    "continues": each.continues,
                }
                for each in differences
            ]
        )
    elif differences:
        rows = ((str(d.vault_id), str(d.item_id or "the vault itself"), d.how) for d in differences)
        showing.table(("VAULT", "ITEM", "HOW THE SERVER DIFFERS"), rows)
    if not all(each.continues for each in differences):
        raise IntegrityError("What the server shows is not what this device can verify.")
    showing.tell(
        "What is new continues what this device knows: vaultr sync takes it over."
        if differences
        else "This device and the server agree."
    )
