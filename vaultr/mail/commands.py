"""`flask mail`: list and retry emails of the outbox, and send a test email."""

from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup

from vaultr import clock
from vaultr.mail import queries, sample_message
from vaultr.operator_cli import command, json_option, show

mail = AppGroup("mail", help="Manage the outbox; addresses and contents are never shown.")


@mail.command("list")
@click.option("--all", "everything", is_flag=True, help="Include sent emails")
@click.option("--dead", is_flag=True, help="Only dead emails")
@click.option("--after", type=click.UUID, help="Last id of the previous page")
@click.option(
    "--limit",
    default=queries.MAX_LIMIT,
    type=click.IntRange(1, queries.MAX_LIMIT),
    help="Maximum number of emails",
)
@json_option
@command
def list_emails(
    *, everything: bool, dead: bool, after: UUID | None, limit: int, as_json: bool
) -> None:
    """List waiting and dead emails, oldest first.

    The reason describes the last attempt. `smtp-550` is a response code of the mail server.
    `no-server` means that no server answered, `no-key` that the key of the email is missing in
    MAIL_KEY, and `unreadable` that the stored email was changed. `outcome-unknown` means that the
    connection broke when the server may already have accepted the email.

    If more than --limit emails exist, the last line shows how to continue. With --json, this line
    goes to stderr, so that stdout is a JSON list: repeat the command until the list is empty.

    Example: flask mail list --dead --json
    """
    if everything and dead:
        raise click.UsageError("Use either --all or --dead, not both.")
    states: tuple[queries.State, ...] = ("dead",) if dead else ("waiting", "dead")
    if everything:
        states = ("waiting", "dead", "sent")
    found = queries.list_emails(states, limit=limit + 1, after=after)
    rows = found[:limit]
    empty = "No more emails." if after else "No emails are waiting or dead."
    lines = [
        f"{row.id}  {clock.text(row.created_at)}  {row.state:8}{row.tries:>3} tries"
        f"  {row.kind:20} {row.reason or ''}".rstrip()
        for row in rows
    ] or [empty]
    show([_row(row) for row in rows], as_json=as_json, lines=lambda: lines)
    if len(found) > limit:
        click.echo(
            f"More than {limit} emails exist. Continue with --after {rows[-1].id}", err=as_json
        )


def _row(row: queries.OutboxEntry) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "kind": row.kind,
        "state": row.state,
        "tries": row.tries,
        "created_at": clock.text(row.created_at),
        "next_try_at": clock.text(row.next_try_at) if row.next_try_at else None,
        "reason": row.reason,
    }


@mail.command("retry")
@click.argument("ids", nargs=-1, type=click.UUID)
@click.option("--dead", is_flag=True, help="All dead emails")
@json_option
@command
def retry(ids: tuple[UUID, ...], *, dead: bool, as_json: bool) -> None:
    """Send emails of the outbox again, now.

    Exits with 1 if one of the ids does not exist or was sent. An email with the reason
    `outcome-unknown` may arrive twice.

    Example: flask mail retry --dead
    """
    if bool(ids) == dead:
        raise click.UsageError("Pass the ids of emails, or --dead.")
    again = queries.retry(None if dead else ids)
    missing = [str(mail_id) for mail_id in ids if mail_id not in again]
    result = {"again": [str(mail_id) for mail_id in again], "missing": missing}
    lines = [f"{len(again)} emails will be sent now."]
    lines += [f"{mail_id}: not dead or waiting; see `flask mail list`" for mail_id in missing]
    show(result, as_json=as_json, lines=lambda: lines)
    if missing:
        raise SystemExit(1)


@mail.command("test")
@click.argument("address")
@json_option
@command
def test(address: str, *, as_json: bool) -> None:
    """Send a test email to ADDRESS now, without the outbox.

    Exits with 1 if the mail server did not accept the email, and shows only the number of its
    response.

    Example: flask mail test postmaster@example.org
    """
    outcome = sample_message.send_sample(address)
    result = {"accepted": outcome.accepted, "reason": outcome.reason, "advice": outcome.advice}
    show(result, as_json=as_json, lines=lambda: [outcome.advice])
    if not outcome.accepted:
        raise SystemExit(1)
