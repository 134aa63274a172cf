"""The command `vaultr status`, which shows the state of this device at a glance."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import output
from vaultr.client.cli.options import GlobalOptions, command, pass_options
from vaultr.client.cli.sdk_session import locked_sdk

if TYPE_CHECKING:
    from vaultr.client.account.sessions_and_factors import Protection
    from vaultr.client.vaultr_client import DeviceStatus


@command("status", "vaultr status", "vaultr status --json")
@click.option("--offline", is_flag=True, help="Do not contact the server")
@pass_options
def status(options: GlobalOptions, offline: bool) -> None:
    """Show account, session, keys, vaults and pending changes.

    Needs no password. The server is asked about second factors and the recovery key only while this
    device is unlocked. The alias is `vaultr whoami`.
    """
    with locked_sdk(options) as vaultr:
        found = vaultr.status(offline=offline)
    if options.json:
        output.print_json(_json(found))
        return
    output.print_fields(_rows(found, options.server))
    if found.vaults:
        output.print_line("")
        rows = ((each.name, str(each.n), each.head, str(each.active)) for each in found.vaults)
        output.print_table(("VAULT", "REVISION", "HEAD", "ITEMS"), rows)
    for each in found.pending:
        output.print_note(output.printable(each))


def _rows(found: "DeviceStatus", named: str | None) -> list[tuple[str, str]]:
    return [
        ("server", found.server or named or "none"),
        ("account", found.email or "none: vaultr signup, or vaultr login"),
        ("device", found.device_name),
        ("logged in", "yes" if found.logged_in else "no: vaultr login"),
        ("keys", _keys_text(found)),
        ("last sync", _age_text(found.synced_at)),
        *_protection_rows(found.protection),
        ("emergency kit", _KIT_TEXTS[found.kit]),
        ("pending", str(len(found.pending)) if found.pending else "nothing"),
    ]


_KIT_TEXTS = {
    "none": "not written by this device: vaultr kit",
    "written": "written by this device",
    "outdated": "outdated, the credentials have changed: vaultr kit",
}


def _keys_text(found: "DeviceStatus") -> str:
    if not found.unlocked:
        return "locked: vaultr unlock"
    return "unlocked for this command" if found.held is None else f"unlocked, {found.held.text}"


def _age_text(moment: datetime | None) -> str:
    if moment is None:
        return "never"
    # This module is part of the SDK, which is already loaded.
    from vaultr.client.storage import freshness  # noqa: PLC0415 - heavy, see above

    return f"{freshness.age_text(datetime.now(UTC) - moment)} ago"


def _protection_rows(protection: "Protection | None") -> list[tuple[str, str]]:
    if protection is None:
        return [("second factor", "unknown: unlock first"), ("recovery key", "unknown")]
    factors = ", ".join(each.kind for each in protection.factors)
    running = ", and a recovery is running" if protection.recovery_is_running else ""
    key = "yes" if protection.has_recovery_key else "no: vaultr recovery-key create"
    return [
        ("second factor", factors or "none: vaultr totp add"),
        ("recovery key", f"{key}{running}"),
    ]


def _json(found: "DeviceStatus") -> dict[str, Any]:
    protection = found.protection
    return {
        "server": found.server,
        "email": found.email,
        "device_name": found.device_name,
        "logged_in": found.logged_in,
        "unlocked": found.unlocked,
        "locks_in_seconds": None
        if found.locks_in_seconds is None
        else round(found.locks_in_seconds),
        "synced_at": output.time_text(found.synced_at),
        "vaults": None
        if found.vaults is None
        else [
            {"id": str(each.id), "name": each.name, "revision": each.n, "head": each.head}
            for each in found.vaults
        ],
        "second_factors": None
        if protection is None
        else [each.kind for each in protection.factors],
        "recovery_key": None if protection is None else protection.has_recovery_key,
        "recovery_running": None if protection is None else protection.recovery_is_running,
        "emergency_kit": found.kit,
        "pending": found.pending,
    }
