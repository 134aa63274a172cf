"""Commands about vaults as a whole: vaults list, add, rename and rm."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.commands.sync import sync
from vaultr.client.cli.completers import vault_names
from vaultr.client.cli.options import Choices, Group, command, pass_choices
from vaultr.client.cli.sdk_session import opened
from vaultr.client.cli.step_up import proven
from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import VaultInfo

__all__ = ["sync", "vaults"]


@click.group("vaults", cls=Group, examples=("vaultr vaults list", "vaultr vaults add Work"))
def vaults() -> None:
    """List, make, rename and delete vaults."""


@command("list", "vaultr vaults list --json")
@pass_choices
def list_vaults(choices: Choices) -> None:
    """List the vaults of the account."""
    with opened(choices) as vaultr:
        found = vaultr.vaults()
    if choices.json:
        output.as_json([_vault_json(vault) for vault in found])
        return
    head = ("NAME", "ITEMS", "TRASH", "REVISION", "HEAD", "ID")
    output.table(head, map(_row, found))


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
    output.result(
        choices.json, _vault_json(vault), f"{done}: {output.printable(vault.name)} ({vault.id})"
    )


def _vault_json(vault: "VaultInfo") -> dict[str, object]:
    return {
        "id": str(vault.id),
        "name": vault.name,
        "role": vault.role,
        "revision": vault.n,
        "head": vault.head,
        "counts": {"active": vault.active, "trash": vault.trash},
    }


@command(
    "rm",
    "vaultr vaults rm Work",
    "vaultr vaults rm Work --confirm Work --password-fd 3 3< password",
    no_args_is_help=True,
)
@click.argument("vault", shell_complete=vault_names)
@click.option("--confirm", metavar="NAME", help="The vault's name, where nobody is there to ask.")
@pass_choices
def delete_vault(choices: Choices, vault: str, confirm: str | None) -> None:
    """Delete VAULT, named by its id or name, with all that is in it, everywhere.

    Its name has to be typed, and the master password proved. This cannot be undone.
    """
    with opened(choices) as vaultr:
        found = [each for each in vaultr.vaults() if vault in (each.name, str(each.id))]
        if len(found) > 1:
            raise UsageError(f"Several vaults are called {vault}: name one by its id.")
        name = confirm
        if found and name is None:
            name = _confirmed(found[0])
        if found and name != found[0].name:
            raise UsageError("That is not the name of the vault: nothing was deleted.")
        proven(choices, vaultr)
        deleted = vaultr.delete_vault(str(found[0].id) if found else vault, confirm=name or "")
    output.result(
        choices.json,
        {"id": str(deleted.id), "deleted": True},
        f"Deleted: {output.printable(deleted.name or str(deleted.id))}",
    )


def _confirmed(vault: "VaultInfo") -> str:
    if not prompts.can_ask():
        raise UsageError("Say the vault's name by --confirm, because there is no terminal.")
    items = "1 item" if vault.active == 1 else f"{vault.active} items"
    kept = f"{items}, {vault.trash} more in the trash"
    name = output.printable(vault.name)
    output.tell(f"{name} ({vault.id}) is deleted on every device: {kept}.")
    return str(click.prompt("Type its name to delete it", err=True))


for each in (list_vaults, add_vault, rename_vault, delete_vault):
    vaults.add_command(each)
