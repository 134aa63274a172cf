"""Helpers shared by operator commands: errors, output as text or JSON, confirmation."""

import json
import os
import pwd
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import sqlalchemy as sa

from vaultr.database import engine
from vaultr.errors import ServiceError
from vaultr.observability import logs

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON")


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Run a command without statement timeouts; a ServiceError exits with 1.

    Output goes to stdout, logs to stderr.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        previous = engine.deadline.set(None)
        logs.to_stderr()
        try:
            return function(*args, **kwargs)
        except ServiceError as rejection:
            raise click.ClickException(rejection.detail) from None
        except sa.exc.DBAPIError as error:
            logs.failure("command.failed", error)
            why = "the database cannot be used; run `flask doctor` and `flask db-status`"
            raise click.ClickException(why) from None
        finally:
            engine.deadline.reset(previous)

    return run


def show(answer: Any, *, as_json: bool, lines: Callable[[], list[str]]) -> None:
    """Print ``answer`` as JSON, or as lines of text."""
    if as_json:
        click.echo(json.dumps(answer, indent=2, default=str))
        return
    for line in lines():
        click.echo(line)


_NAME = re.compile(r"[\w.@+-]{1,64}")


def _default() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user often has no name
        return f"uid-{os.geteuid()}"


def _checked(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    name = value or _default()
    if not _NAME.fullmatch(name):
        raise click.BadParameter("must have at most 64 letters, digits and . _ @ + -")
    return name


def option(function: Any) -> Any:
    """Add ``--by NAME``: the operator, by default the user who runs the command."""
    add = click.option(
        "--by", "by", metavar="NAME", callback=_checked, help="Your name for the audit log"
    )
    return add(function)


def confirmed(name: str, typed: str | None, *, what: str) -> None:
    """Ask the operator to type a name before anything is destroyed.

    :raises click.ClickException: the name differs, or there is no terminal.
    """
    if typed is None:
        try:
            typed = click.prompt(f"{what} Type {name} to confirm", err=True)
        except click.Abort:
            raise click.ClickException(
                f"nothing was done; to confirm, use --confirm {name}"
            ) from None
    if typed.strip() != name:
        raise click.ClickException("the names differ, so nothing was done; run the command again")
