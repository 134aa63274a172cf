"""The commands `vaultr vaults list`, `add`, `rename` and `rm`."""

from typing import TYPE_CHECKING

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.completers import vault_names
from vaultr.client.cli.options import GlobalOptions, Group, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.cli.step_up import step_up
from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import VaultInfo


@click.group("vaults", cls=Group, examples=("vaultr vaults list", "vaultr vaults add Work"))
def vaults() -> None:
    """List, create, rename and delete vaults."""


@command("list", "vaultr vaults list --json")
@pass_options
def list_vaults(options: GlobalOptions) -> None:
    """List the vaults of the account."""
    with unlocked_sdk(options) as vaultr:
        found = vaultr.vaults()
    if options.json:
        output.print_json([_vault_json(vault) for vault in found])
        return
    head = ("NAME", "ITEMS", "TRASH", "REVISION", "HEAD", "ID")
    output.print_table(head, map(_row, found))


def _row(vault: "VaultInfo") -> tuple[str, ...]:
    counts = (vault.active, vault.trash, vault.n)
    return (vault.name, *map(str, counts), vault.head, str(vault.id))


@command("add", "vaultr vaults add Work", no_args_is_help=True)
@click.argument("name")
@pass_options
def add_vault(options: GlobalOptions, name: str) -> None:
    """Create a vault named NAME."""
    with unlocked_sdk(options) as vaultr:
        created = vaultr.create_vault(name)
    _print_vault(options, created, "Created")


@command("rename", "vaultr vaults rename Work Office", no_args_is_help=True)
@click.argument("vault")
@click.argument("name")
@pass_options
def rename_vault(options: GlobalOptions, vault: str, name: str) -> None:
    """Rename VAULT to NAME.

    VAULT is an id or name.
    """
    with unlocked_sdk(options) as vaultr:
        renamed = vaultr.rename_vault(vault, name)
    _print_vault(options, renamed, "Renamed")


def _print_vault(options: GlobalOptions, vault: "VaultInfo", done: str) -> None:
    output.print_result(
        options.json, _vault_json(vault), f"{done}: {output.printable(vault.name)} ({vault.id})"
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
@click.option("--confirm", metavar="NAME", help="Confirm with the name of the vault")
@pass_options
def delete_vault(options: GlobalOptions, vault: str, confirm: str | None) -> None:
    """Delete a vault and everything in it, on all devices.

    VAULT is an id or name. You type the name to confirm, and the master password. This cannot be
    undone.
    """
    with unlocked_sdk(options) as vaultr:
        found = [each for each in vaultr.vaults() if vault in (each.name, str(each.id))]
        if len(found) > 1:
            raise UsageError(f"Several vaults have the name {vault}. Use an id: vaultr vaults list")
        name = confirm
        if found and name is None:
            name = _ask_name(found[0])
        if found and name != found[0].name:
            raise UsageError("That is not the name of the vault. Nothing was deleted.")
        step_up(options, vaultr)
        deleted = vaultr.delete_vault(str(found[0].id) if found else vault, confirm=name or "")
    output.print_result(
        options.json,
        {"id": str(deleted.id), "deleted": True},
        f"Deleted: {output.printable(deleted.name or str(deleted.id))}",
    )


def _ask_name(vault: "VaultInfo") -> str:
    if not prompts.can_ask():
        raise UsageError("Cannot ask for confirmation: there is no terminal. Use --confirm NAME.")
    content = f"{output.items(vault.active)}, and {vault.trash} in the trash"
    name = output.printable(vault.name)
    output.print_note(f"This deletes {name} ({vault.id}) on every device: {content}.")
    return str(click.prompt("Type its name to confirm", err=True))


for each in (list_vaults, add_vault, rename_vault, delete_vault):
    vaults.add_command(each)
