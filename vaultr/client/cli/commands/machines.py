"""The commands `vaultr machines`: access for CI jobs, pods and scripts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.commands.rotate import rotate_vault
from vaultr.client.cli.offline_options import Duration
from vaultr.client.cli.options import GlobalOptions, Group, command, pass_options
from vaultr.client.cli.sdk_session import unlocked_sdk
from vaultr.client.cli.step_up import step_up
from vaultr.client.cli.token_output import TokenPlace, out_option, token_place
from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Machine, Vaultr
    from vaultr.client.vaults.machine_list import Rights

_OTHER_NAMES: Final = {
    **dict.fromkeys(("create", "new"), "add"),
    **dict.fromkeys(("delete", "remove", "revoke"), "rm"),
    **dict.fromkeys(("get", "view"), "show"),
    **dict.fromkeys(("update", "set", "rename"), "edit"),
    **dict.fromkeys(("renew", "rotate"), "token"),
    "ls": "list",
}


@click.group(
    "machines",
    cls=Group,
    other_names=_OTHER_NAMES,
    examples=("vaultr machines add ci --vault prod", "vaultr machines list"),
)
def machines() -> None:
    """Manage the access of CI jobs, pods and scripts to vaults.

    A machine is access for a program instead of a person. It opens only the vaults that you name,
    with a token instead of a password. It can be limited to reading, and it expires. After you
    delete it, the server rejects its next request.
    """


_vaults_option = click.option(
    "--vault",
    "vaults",
    multiple=True,
    metavar="VAULT[:write]",
    help="Vault that it may read, or with :write also change (repeatable)",
)
_networks_option = click.option(
    "--network",
    "networks",
    multiple=True,
    metavar="CIDR",
    help="Network that its requests may come from (repeatable)",
)


@command(
    "add",
    "vaultr machines add ci --vault prod --expires 90d --out token",
    "vaultr machines add deploy --vault prod:write --network 10.0.0.0/8",
    no_args_is_help=True,
)
@click.argument("name")
@_vaults_option
@click.option(
    "--expires", type=Duration(), default="90d", metavar="TIME", help="Lifetime (default: 90d)"
)
@_networks_option
@out_option
@pass_options
def add_machine(
    options: GlobalOptions,
    name: str,
    vaults: tuple[str, ...],
    expires: timedelta,
    networks: tuple[str, ...],
    out_file: Path | None,
) -> None:
    """Create a machine named NAME, and show its token once.

    The token is shown on a terminal, or written to a new file with --out. It cannot be shown again;
    `vaultr machines token` creates a new one.
    """
    if not vaults:
        raise UsageError(
            "Name the vaults that the machine may open: --vault VAULT or --vault VAULT:write"
        )
    rights = _rights(vaults)
    with token_place(out_file) as place, unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        expires_at = datetime.now(UTC) + expires
        added, token = vaultr.add_machine(name, rights, expires_at=expires_at, networks=networks)
        place.token = token
        names = _vault_names(vaultr, offline=True)
    _print_with_token(options, added, names, "Created", place)


@command("list", "vaultr machines list --json")
@pass_options
def list_machines(options: GlobalOptions) -> None:
    """List the machines of the account."""
    with unlocked_sdk(options) as vaultr:
        found, names = vaultr.machines(), _vault_names(vaultr)
    if options.json:
        output.print_json([_json(each, names) for each in found])
        return
    rows = [(each.name, _vaults_text(each, names), _expiry(each), _used(each), str(each.id))
            for each in found]  # fmt: skip
    output.print_table(("NAME", "VAULTS", "EXPIRES", "LAST USED", "ID"), rows)
    if not found:
        output.print_note("No machines. Create one: vaultr machines add NAME --vault VAULT")


@command("show", "vaultr machines show ci", no_args_is_help=True)
@click.argument("machine")
@pass_options
def show_machine(options: GlobalOptions, machine: str) -> None:
    """Show a machine: its vaults, its rights, and when it expires.

    MACHINE is an id or a unique name.
    """
    with unlocked_sdk(options) as vaultr:
        found, names = vaultr.machine(machine), _vault_names(vaultr)
    _print(options, found, names)


@command(
    "edit",
    "vaultr machines edit ci --vault prod --vault shared:write",
    "vaultr machines edit ci --expires 30d --any-network",
    no_args_is_help=True,
)
@click.argument("machine")
@click.option("--name", metavar="NAME", help="New name")
@_vaults_option
@click.option("--expires", type=Duration(), metavar="TIME", help="Lifetime from now, such as 90d")
@_networks_option
@click.option("--any-network", is_flag=True, help="Allow requests from any network")
@pass_options
def edit_machine(
    options: GlobalOptions,
    machine: str,
    name: str | None,
    vaults: tuple[str, ...],
    expires: timedelta | None,
    networks: tuple[str, ...],
    any_network: bool,
) -> None:
    """Change a machine; its token stays valid.

    --vault and --network replace all earlier vaults and networks. Without options, only the
    machine's keys are renewed, so that it starts from the newest revision of each vault.
    """
    if networks and any_network:
        raise UsageError("Use either --network or --any-network, not both.")
    rights = _rights(vaults)
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        before = vaultr.machine(machine)
        edited = vaultr.edit_machine(
            str(before.id),
            name=name,
            vaults=rights or None,
            expires_at=None if expires is None else datetime.now(UTC) + expires,
            networks=networks if networks or any_network else None,
        )
        names = _vault_names(vaultr, offline=True)
    _print(options, edited, names)
    if lost := [names.get(each, str(each)) for each in before.vaults if each not in edited.vaults]:
        listed = ", ".join(map(output.printable, lost))
        output.print_note(
            f"The machine may still have the keys of {listed}. To replace them: vaultr rotate VAULT"
        )


@command("token", "vaultr machines token ci --out token", no_args_is_help=True)
@click.argument("machine")
@out_option
@pass_options
def new_token(options: GlobalOptions, machine: str, out_file: Path | None) -> None:
    """Replace the token of a machine, and show the new one once.

    The old token stops working immediately.
    """
    with token_place(out_file) as place, unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        renewed, place.token = vaultr.renew_machine_token(machine)
        names = _vault_names(vaultr, offline=True)
    _print_with_token(options, renewed, names, "New token", place)


@command("rm", "vaultr machines rm ci --rotate", no_args_is_help=True)
@click.argument("machine")
@click.option(
    "--rotate/--keep-keys",
    default=None,
    help="Whether to rotate the keys of its vaults (default: ask)",
)
@pass_options
def remove_machine(options: GlobalOptions, machine: str, rotate: bool | None) -> None:
    """Delete a machine; its token stops working immediately.

    The machine may have stored the keys of its vaults. Rotate these keys if somebody else may have
    the token.
    """
    with unlocked_sdk(options) as vaultr:
        step_up(options, vaultr)
        removed = vaultr.remove_machine(machine)
        names = _vault_names(vaultr)
        held = [str(each) for each in removed.vaults if each in names]
        listed = ", ".join(
            output.printable(names[each]) for each in removed.vaults if each in names
        )
        if not options.json:
            output.print_line(f"Deleted: {output.printable(removed.name)} ({removed.id})")
        if held and rotate is None and not options.json and prompts.can_ask():
            rotate = click.confirm(
                f"Rotate the keys of {listed}, which the machine could read?", err=True
            )
        rotated = [rotate_vault(options, vaultr, each) for each in held] if rotate else []
    if options.json:
        output.print_json(
            {"id": str(removed.id), "deleted": True, "rotated": held if rotated else []}
        )
    elif rotated:
        output.print_line(f"Rotated the keys of {listed}.")
    elif held:
        output.print_note(
            f"The machine could read {listed}. To replace the keys: vaultr rotate VAULT"
        )


for each in (add_machine, list_machines, show_machine, edit_machine, remove_machine, new_token):
    machines.add_command(each)


def _rights(vaults: Sequence[str]) -> "dict[str, Rights]":
    rights: dict[str, Rights] = {}
    for text in vaults:
        ref, colon, right = text.rpartition(":")
        if colon and right in ("read", "write"):
            rights[ref] = "write" if right == "write" else "read"
        else:
            rights[text] = "read"
    return rights


def _vault_names(vaultr: "Vaultr", *, offline: bool = False) -> dict[UUID, str]:
    """Return the names of the vaults.

    :param offline: use this device's copy, which a change of a machine has just brought up to date.
    """
    return {vault.id: vault.name for vault in vaultr.vaults(offline=offline)}


def _json(machine: "Machine", names: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        "id": str(machine.id),
        "name": machine.name,
        "revision": machine.revision,
        "vaults": [
            {"id": str(each), "name": names.get(each), "rights": rights}
            for each, rights in machine.vaults.items()
        ],
        "networks": list(machine.networks),
        "created_at": output.time_text(machine.created_at),
        "expires_at": output.time_text(machine.expires_at),
        "last_used_at": output.time_text(machine.last_used_at),
    }


def _vaults_text(machine: "Machine", names: Mapping[UUID, str]) -> str:
    return ", ".join(
        f"{names.get(each, str(each))}{':write' if rights == 'write' else ''}"
        for each, rights in machine.vaults.items()
    )


def _expiry(machine: "Machine") -> str:
    day = f"{machine.expires_at:%Y-%m-%d}"
    return f"{day} (expired)" if machine.expires_at <= datetime.now(UTC) else day


def _used(machine: "Machine") -> str:
    used = machine.last_used_at
    return "never" if used is None else f"{used:%Y-%m-%d %H:00} UTC"


def _print(options: GlobalOptions, machine: "Machine", names: Mapping[UUID, str]) -> None:
    if options.json:
        output.print_json(_json(machine, names))
        return
    rows = [
        ("name", machine.name),
        ("vaults", _vaults_text(machine, names) or "none"),
        ("networks", ", ".join(machine.networks) or "any"),
        ("expires", _expiry(machine)),
        ("last used", _used(machine)),
        ("id", str(machine.id)),
    ]
    output.print_fields(rows)


def _print_with_token(
    options: GlobalOptions,
    machine: "Machine",
    names: Mapping[UUID, str],
    done: str,
    place: TokenPlace,
) -> None:
    if options.json:
        output.print_json(_json(machine, names) | place.to_json())
        return
    output.print_line(f"{done}: {output.printable(machine.name)} ({machine.id})")
    output.print_line(f"It expires on {machine.expires_at:%Y-%m-%d}.")
    place.show("VAULTR_TOKEN=", "Store it now as a secret of the job: it is shown only once.")
