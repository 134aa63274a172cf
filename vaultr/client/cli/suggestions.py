"""What to type instead: words that other tools have for a command, and an argument left out."""

from types import MappingProxyType
from typing import Final

import click

_COMMANDS: Final = {
    "show": ("get", "view", "cat"),
    "list": ("ls", "search", "find", "items"),
    "add": ("create", "new", "insert"),
    "edit": ("set", "update", "change", "rename"),
    "rm": ("delete", "remove", "del", "trash"),
    "move": ("mv", "cp"),
    "login": ("signin", "sign-in", "log-in"),
    "logout": ("signout", "sign-out", "log-out"),
    "signup": ("register", "sign-up"),
    "code": ("otp", "mfa"),
    "run": ("exec", "env"),
    "doctor": ("status", "whoami", "info", "config", "check"),
    "COMMAND --help": ("help", "man"),
    "--version": ("version",),
    "list, or vaultr show ITEM": ("item",),
    "vaults": ("vault",),
}
# How other tools call it, and how it is called here.
ELSEWHERE: Final = MappingProxyType(
    {word: ours for ours, many in _COMMANDS.items() for word in many}
)


def check_word(word: str, context: click.Context) -> None:
    """Refuse a command of another tool by naming ours.

    :raises click.UsageError: it is one.
    """
    if word in ELSEWHERE:
        raise click.UsageError(
            f"There is no command {word}. Try: vaultr {ELSEWHERE[word]}", context
        )


def missing(context: click.Context) -> str | None:
    """Tell which word has to follow a command that was typed without any; None if none has to."""
    if context.parent is None:
        return None
    if isinstance(context.command, click.Group):
        return f"COMMAND is missing: {', '.join(context.command.commands)}."
    for each in context.command.params:
        if isinstance(each, click.Argument) and each.required:
            name = (each.metavar or each.name or "").removeprefix("-- ").split()[0]
            return f"{name.upper().removesuffix('...')} is missing."
    return None
