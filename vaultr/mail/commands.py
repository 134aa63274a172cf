"""`flask mail`: what waits in the outbox and what was given up, another try, and a test."""

from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup

from vaultr import clock
from vaultr.mail import queries, sample_message
from vaultr.operator_cli import command, json_option, show

mail = AppGroup("mail", help="The outbox. Neither addresses nor contents are ever shown.")


@mail.command("list")
@click.option("--all", "everything", is_flag=True, help="Those that were sent, too.")
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@click.option("--after", type=click.UUID, help="The last id of the page before.")
@click.option(
    "--limit", default=queries.MOST, type=click.IntRange(1, queries.MOST), help="At most so many."
)
@json_option
@command
def list_mails(
    *, everything: bool, dead: bool, after: UUID | None, limit: int, as_json: bool
) -> None:
    """List the letters that wait and those that were given up, the oldest first.

    The reason tells what the last try met: `smtp-550` is an answer of the mail server, `no-server`
    that there was none, `no-key` that MAIL_KEY lacks the key it is sealed under, `unreadable` that
    its row was changed, and `outcome-unknown` that the connection broke just when the letter may
    have been accepted.

    If there are more than --limit, a last line says so, and how to go on. With --json the answer is
    a list all the same, and that line goes to stderr: ask on until a list is empty.

    Example: flask mail list --dead --json
    """
    if everything and dead:
        raise click.UsageError("Give --all or --dead, not both.")
    states: tuple[queries.State, ...] = ("dead",) if dead else ("waiting", "dead")
    if everything:
        states = ("waiting", "dead", "sent")
    found = queries.listed(states, limit=limit + 1, after=after)
    rows = found[:limit]
    nothing = "Nothing is left." if after else "Nothing waits, and nothing is dead."
    lines = [
        f"{row.id}  {clock.text(row.created_at)}  {row.state:8}{row.tries:>3} tries"
        f"  {row.kind:20} {row.reason or ''}".rstrip()
        for row in rows
    ] or [nothing]
    show([_row(one) for one in rows], as_json=as_json, lines=lambda: lines)
    if len(found) > limit:
        click.echo(f"{limit} are shown; more: --after {rows[-1].id}", err=as_json)


def _row(row: queries.Listed) -> dict[str, Any]:
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
@click.option("--dead", is_flag=True, help="All that were given up.")
@json_option
@command
def retry(ids: tuple[UUID, ...], *, dead: bool, as_json: bool) -> None:
    """Let letters that were given up be tried anew; ends with 1 if one of them is not there.

    One with the reason `outcome-unknown` may then arrive twice.

    Example: flask mail retry --dead
    """
    if bool(ids) == dead:
        raise click.UsageError("Name letters by their ids, or give --dead.")
    again = queries.retry(None if dead else ids)
    missing = [str(one) for one in ids if one not in again]
    answer = {"again": [str(one) for one in again], "missing": missing}
    lines = [f"{len(again)} will be tried at once."]
    lines += [f"{one}: neither dead nor waiting" for one in missing]
    show(answer, as_json=as_json, lines=lambda: lines)
    if missing:
        raise SystemExit(1)


@mail.command("test")
@click.argument("address")
@json_option
@command
def test(address: str, *, as_json: bool) -> None:
    """Send a letter to an address now, past the outbox, and tell whether it was accepted.

    Ends with 1 if it was not. What the server said is told by its number alone.

    Example: flask mail test postmaster@example.org
    """
    outcome = sample_message.send_test(address)
    answer = {"accepted": outcome.accepted, "reason": outcome.reason, "advice": outcome.advice}
    show(answer, as_json=as_json, lines=lambda: [outcome.advice])
    if not outcome.accepted:
        raise SystemExit(1)
