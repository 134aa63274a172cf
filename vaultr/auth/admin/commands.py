"""`flask accounts`: what an operator does for an account; nothing of it opens one."""

import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup

from vaultr import clock, operator_cli
from vaultr.audit import service as audit
from vaultr.auth.admin import actions, queries
from vaultr.auth.admin.actions import Done, Operator
from vaultr.operator_cli import command, json_option, show
from vaultr.wire.field_types import is_id

accounts = AppGroup("accounts", help="Accounts, as far as an operator can help with them.")

_Doing = Callable[[str, Operator], Done]
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would happen, do nothing.")


def _who(account: str) -> str:
    """Read who is meant: an id, an address, or - for a line of stdin (an argument is public)."""
    return sys.stdin.readline().strip() if account == "-" else account


@accounts.command("list")
@click.option("--after", help="The last id of the page before.")
@click.option("--limit", default=100, type=click.IntRange(1, queries.MOST), help="At most so many.")
@click.option("--addresses", is_flag=True, help="Show mail addresses whole.")
@json_option
@command
def list_accounts(*, after: str | None, limit: int, addresses: bool, as_json: bool) -> None:
    """List accounts by id: when made, live sessions, second factors, last use.

    Example: flask accounts list --json
    """
    if after is not None and not is_id(after):
        raise click.BadParameter("--after is an account's id")
    found = queries.listed(after=UUID(after) if after else None, limit=limit)
    rows = [_row(one, addresses=addresses) for one in found]
    following = str(found[-1].id) if len(found) == limit else None
    answer = {"accounts": rows, "next_after": following}
    lines = [
        f"{one['id']}  {one['created_at'][:10]}  {one['sessions']:3} sessions  "
        f"{'2FA' if one['factors'] else '   '}  {one['email']}"
        for one in rows
    ]
    lines += [f"more: --after {following}"] if following else []
    show(answer, as_json=as_json, lines=lambda: lines)


@accounts.command("show")
@click.argument("account")
@click.option("--addresses", is_flag=True, help="Show the mail address whole.")
@json_option
@command
def show_account(account: str, *, addresses: bool, as_json: bool) -> None:
    """Show ACCOUNT: its sessions, factors, recovery key, and what is locked or used up.

    ACCOUNT is an id, a mail address, or - to read it from stdin; so it is for all commands here.

    Locked is whoever failed too often in a row, or was locked by an operator. Used up are attempts
    of which LIMIT_LOGIN_ACCOUNT lets in no more for now. Both are told apart by who tries (devices
    never seen, a known device, a session, recovery), and `flask accounts unlock` ends both.

    Example: flask accounts show ann@example.org
    """
    found = queries.shown(_who(account))
    locks = [
        {"counter": one.counter, "until": None if one.by_operator else clock.text(one.until)}
        | {"by_operator": one.by_operator}
        for one in found.locks
    ]
    used_up = [
        {"counter": one.counter, "limit": str(one.limit)}
        | {"next_attempt_at": clock.text(one.next_attempt_at)}
        for one in found.used_up
    ]
    answer = {
        **_row(found.account, addresses=addresses),
        "epoch": found.epoch,
        "recovery_key": found.recovery_key,
        "locks": locks,
        "used_up": used_up,
        "live_sessions": found.sessions,
    }
    show(answer, as_json=as_json, lines=lambda: _shown(answer, found))


def _shown(answer: dict[str, Any], found: queries.Shown) -> list[str]:
    lines = [
        f"{name:14} {value}"
        for name, value in answer.items()
        if not isinstance(value, list | tuple)
    ]
    lines += [
        f"locked         {one['counter']}: {one['until'] or 'by an operator'}"
        for one in answer["locks"]
    ]
    lines += [
        f"used up        {one.counter}: {one.limit.count} attempts in {one.limit.seconds} s; "
        f"the next from {clock.text(one.next_attempt_at)} on"
        for one in found.used_up
    ]
    if found.locks or found.used_up:
        lines.append(f"to end that    flask accounts unlock {found.account.id} --by NAME")
    return lines + [
        f"session        {one['id']}  {one['client']}  {one['last_used_at'][:16]}"
        for one in found.sessions
    ]


def _row(one: queries.Listed, *, addresses: bool) -> dict[str, Any]:
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


def _action(name: str, does: _Doing, done: str, says: str, *, destroys: bool = False) -> None:
    """Add a command that does one thing to an account; what it destroys is confirmed by name."""

    @operator_cli.option
    @dry_run_option
    @json_option
    @command
    def act(
        account: str, *, by: str, dry_run: bool, as_json: bool, confirm: str | None = None
    ) -> None:
        who = _who(account)
        if destroys and not dry_run:
            operator_cli.confirmed(who, confirm, what=f"This cannot be undone. {says}")
        try:
            result = does(who, Operator(by, dry_run=dry_run))
        finally:
            audit.stop()
        answer = {"account_id": str(result.account_id), "count": result.count, "dry_run": dry_run}
        line = done.format(count=result.count)
        would = "would be " if dry_run else ""
        show(answer, as_json=as_json, lines=lambda: [f"{would}{line}: {result.account_id}"])

    if destroys:
        act = click.option("--confirm", metavar="ACCOUNT", help="ACCOUNT once more.")(act)
    act.__doc__ = f"{says}\n\n    Example: flask accounts {name} ann@example.org"
    accounts.command(name)(click.argument("account")(act))


_action("lock", actions.lock, "locked, {count} sessions ended",
        "Let nobody sign in to ACCOUNT until it is unlocked, and end its sessions.")  # fmt: skip
_action("unlock", actions.unlock, "unlocked",
        "End every lock of ACCOUNT and forget its used-up attempts; it opens nothing.")  # fmt: skip
_action("logout", actions.log_out, "logged out, {count} sessions ended",
        "End all sessions of ACCOUNT; the password still opens new ones.")  # fmt: skip
_action("reset-factors", actions.reset_factors, "reset, {count} factors removed",
        "Remove the second factors of ACCOUNT, end its sessions, and tell its owner.",
        destroys=True)  # fmt: skip
_action("delete", actions.delete, "deleted",
        "Delete ACCOUNT with all its vaults; only audit events stay.", destroys=True)  # fmt: skip
_action("verify", actions.verify, "verified",
        "Confirm the waiting signup of ACCOUNT by hand, when its mail cannot arrive.")  # fmt: skip
