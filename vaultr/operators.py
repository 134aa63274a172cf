"""Who operates: the name under which the audit log keeps what a command did."""

import os
import pwd
import re
from typing import Any

import click

_NAME = re.compile(r"[\w.@+-]{1,64}")


def _default() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user often has no name
        return f"uid-{os.geteuid()}"


def _checked(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    name = value or _default()
    if not _NAME.fullmatch(name):
        raise click.BadParameter("letters, digits and . _ @ + -, at most 64")
    return name


def option(function: Any) -> Any:
    """Add ``--by NAME``: who does it; by default the user that the command runs as."""
    add = click.option(
        "--by", "by", metavar="NAME", callback=_checked, help="Your name, for the audit log."
    )
    return add(function)


def confirmed(name: str, given: str | None, *, what: str) -> None:
    """Let what destroys be confirmed by writing its name once more.

    :raises click.ClickException: another name was given, or nobody is there to be asked.
    """
    typed = given
    if typed is None:
        try:
            typed = click.prompt(f"{what} Write {name} to confirm", err=True)
        except click.Abort:
            raise click.ClickException(f"nothing was done; confirm by --confirm {name}") from None
    if typed.strip() != name:
        raise click.ClickException("that is another name; nothing was done")
