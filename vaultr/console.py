"""A refusal becomes a line on the console, and an answer a text or JSON."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
import sqlalchemy as sa

from vaultr import logs
from vaultr.database import engine
from vaultr.errors import Refusal

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Let a command take its time with the database, and end with 1 when it is refused.

    Its answer goes to stdout, and what is logged meanwhile to stderr.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        usual = engine.deadline.set(None)
        logs.to_stderr()
        try:
            return function(*args, **kwargs)
        except Refusal as refusal:
            raise click.ClickException(refusal.detail) from None
        except sa.exc.DBAPIError as error:
            logs.failure("command.failed", error)
            says = "the database cannot be used; `flask db-status` and `flask doctor` tell more"
            raise click.ClickException(says) from None
        finally:
            engine.deadline.reset(usual)

    return run


def show(answer: Any, *, as_json: bool, lines: Callable[[], list[str]]) -> None:
    """Print ``answer`` as JSON, or as the lines that a person reads."""
    if as_json:
        click.echo(json.dumps(answer, indent=2, default=str))
        return
    for line in lines():
        click.echo(line)
