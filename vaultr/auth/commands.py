"""`flask accounts`: what an operator does for an account; nothing of it opens one."""

import sys

import click
from flask.cli import AppGroup

from vaultr.audit import service as audit
from vaultr.auth import unlocking
from vaultr.console import command, json_option, show

accounts = AppGroup("accounts", help="Accounts, as far as an operator can help with them.")


@accounts.command("unlock")
@click.argument("account")
@json_option
@command
def unlock(account: str, *, as_json: bool) -> None:
    """End the lock-out of ACCOUNT: an account's id, its mail address, or - to read it from stdin.

    Its failed attempts at signing in and stepping up are forgotten. This is recorded, and gives
    nobody access: whoever signs in still needs the password.

    Example: flask accounts unlock ann@example.org
    """
    who = sys.stdin.readline().strip() if account == "-" else account
    try:
        done = unlocking.unlock(who)
    finally:
        audit.stop()
    answer = {"account_id": str(done.account_id), "counters": done.counters}
    show(answer, as_json=as_json, lines=lambda: [f"unlocked: {done.account_id}"])
