"""`flask accounts`: account administration; no command opens an account."""

import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup

from vaultr import clock, operator_cli
from vaultr.audit import service as audit
from vaultr.auth.admin import actions, queries
from vaultr.auth.admin.actions import ActionResult, Operator
from vaultr.operator_cli import command, json_option, show
from vaultr.wire.field_types import is_id

accounts = AppGroup("accounts", help="Manage accounts without opening them.")

_Action = Callable[[str, Operator], ActionResult]
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would change; change nothing"
)


def _read_reference(account: str) -> str:
    """Return an id or address; read it from stdin for -, because arguments are public."""
    return sys.stdin.readline().strip() if account == "-" else account


@accounts.command("list")
@click.option("--after", help="Last id of the previous page")
@click.option(
    "--limit",
    default=100,
    type=click.IntRange(1, queries.MAX_LIMIT),
    help="Maximum number of accounts",
)
@click.option("--addresses", is_flag=True, help="Show full email addresses")
@json_option
@command
def list_accounts(*, after: str | None, limit: int, addresses: bool, as_json: bool) -> None:
    """List accounts with sessions, second factors and last use.

    Example: flask accounts list --json
    """
    if after is not None and not is_id(after):
        raise click.BadParameter("--after must be an account id.")
    found = queries.list_accounts(after=UUID(after) if after else None, limit=limit)
    rows = [_row(account, addresses=addresses) for account in found]
    following = str(found[-1].id) if len(found) == limit else None
    result = {"accounts": rows, "next_after": following}
    lines = [
        f"{row['id']}  {row['created_at'][:10]}  {row['sessions']:3} sessions  "
        f"{'2FA' if row['factors'] else '   '}  {row['email']}"
        for row in rows
    ]
    lines += [f"more: --after {following}"] if following else []
    show(result, as_json=as_json, lines=lambda: lines)


@accounts.command("show")
@click.argument("account")
@click.option("--addresses", is_flag=True, help="Show the full email address")
@json_option
@command
def show_account(account: str, *, addresses: bool, as_json: bool) -> None:
    """Show the sessions, machines, factors, recovery key and locks of ACCOUNT.

    ACCOUNT is an id, an email address, or - to read one from stdin, as in all commands of this
    group.

    "locked" lists counters that are locked by an operator or after too many failures in a row.
    "used up" lists counters that have reached LIMIT_LOGIN_ACCOUNT. Counters exist for unknown
    devices, each known device, each session, and recovery. `flask accounts unlock` clears all.

    Example: flask accounts show ann@example.org
    """
    found = queries.show_account(_read_reference(account))
    locks = [
        {"counter": lock.counter, "until": None if lock.by_operator else clock.text(lock.until)}
        | {"by_operator": lock.by_operator}
        for lock in found.locks
    ]
    used_up = [
        {"counter": counter.counter, "limit": str(counter.limit)}
        | {"next_attempt_at": clock.text(counter.next_attempt_at)}
        for counter in found.used_up
    ]
    result = {
        **_row(found.account, addresses=addresses),
        "epoch": found.epoch,
        "recovery_key": found.recovery_key,
        "locks": locks,
        "used_up": used_up,
        "live_sessions": found.sessions,
        "machines": found.machines,
    }
    show(result, as_json=as_json, lines=lambda: _lines(result, found))


def _lines(result: dict[str, Any], found: queries.AccountDetails) -> list[str]:
    lines = [
        f"{name:14} {value}"
        for name, value in result.items()
        if not isinstance(value, list | tuple)
    ]
    lines += [
        f"locked         {lock['counter']}: {lock['until'] or 'by an operator'}"
        for lock in result["locks"]
    ]
    lines += [
        f"used up        {counter.counter}: {counter.limit.count} attempts in"
        f" {counter.limit.seconds} s; next attempt at {clock.text(counter.next_attempt_at)}"
        for counter in found.used_up
    ]
    if found.locks or found.used_up:
        lines.append(f"to unlock      flask accounts unlock {found.account.id} --by NAME")
    lines += [
        f"session        {session['id']}  {session['client']}  {session['last_used_at'][:16]}"
        for session in found.sessions
    ]
    return lines + [
        f"machine        {machine['id']}  expires {machine['expires_at'][:10]}, last used"
        f" {(machine['last_used_at'] or 'never')[:13]}"
        for machine in found.machines
    ]


def _row(one: queries.AccountSummary, *, addresses: bool) -> dict[str, Any]:
    last = clock.text(one.last_used_at) if one.last_used_at is not None else None
    return {
        "id": str(one.id),
        "email": one.email if addresses else _masked(one.email),
        "created_at": clock.text(one.created_at),
        "sessions": one.sessions,
        "factors": one.factors,
        "last_used_at": last,
    }


def _masked(email: str) -> str:
    name, _, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"


def _action(name: str, action: _Action, done: str, summary: str, *, destroys: bool = False) -> None:
    """Add a command for one action; destructive ones ask to repeat the account."""

    @operator_cli.option
    @dry_run_option
    @json_option
    @command
    def act(
        account: str, *, by: str, dry_run: bool, as_json: bool, confirm: str | None = None
    ) -> None:
        account_ref = _read_reference(account)
        if destroys and not dry_run:
            operator_cli.confirmed(account_ref, confirm, what=f"This cannot be undone. {summary}")
        try:
            changed = action(account_ref, Operator(by, dry_run=dry_run))
        finally:
            audit.stop()
        result = {"account_id": str(changed.account_id), "count": changed.count, "dry_run": dry_run}
        line = done.format(count=changed.count)
        would = "would be " if dry_run else ""
        show(result, as_json=as_json, lines=lambda: [f"{would}{line}: {changed.account_id}"])

    if destroys:
        act = click.option("--confirm", metavar="ACCOUNT", help="Repeat ACCOUNT to confirm")(act)
    act.__doc__ = f"{summary}\n\n    Example: flask accounts {name} ann@example.org"
    accounts.command(name)(click.argument("account")(act))


_action("lock", actions.lock, "locked, {count} sessions ended",
        "Lock ACCOUNT until it is unlocked, and end its sessions.")  # fmt: skip
_action("unlock", actions.unlock, "unlocked",
        "Unlock ACCOUNT and clear its failed attempts.")  # fmt: skip
_action("logout", actions.log_out, "logged out, {count} sessions ended",
        "End all sessions of ACCOUNT; it can log in again.")  # fmt: skip
_action("reset-factors", actions.reset_factors, "reset, {count} factors removed",
        "Remove the second factors of ACCOUNT and end its sessions.",
        destroys=True)  # fmt: skip
_action("delete", actions.delete, "deleted",
        "Delete ACCOUNT with all its vaults; its audit events stay.", destroys=True)  # fmt: skip
_action("verify", actions.verify, "verified",
        "Confirm the waiting signup of ACCOUNT without its email.")  # fmt: skip
