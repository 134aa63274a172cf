"""Suggestions for mistyped command lines: names from other tools, and missing arguments."""

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
    "doctor": ("config", "check"),
    "status": ("info",),
    "COMMAND --help": ("help", "man"),
    "--version": ("version",),
    "list, or vaultr show ITEM": ("item",),
    "vaults": ("vault",),
    "machines": ("machine",),
}
# Names in other tools, with the command of vaultr for each.
OTHER_NAMES: Final = MappingProxyType(
    {other: command for command, others in _COMMANDS.items() for other in others}
)


def check_command_name(name: str, context: click.Context) -> None:
    """Raise an error that suggests our command if ``name`` is a command of another tool.

    :raises click.UsageError: ``name`` is a command of another tool.
    """
    if name in OTHER_NAMES:
        raise click.UsageError(
            f"No such command {name!r}. Try: vaultr {OTHER_NAMES[name]}", context
        )


def missing_word(context: click.Context) -> str | None:
    """Return which argument or subcommand is missing; None if none is."""
    if context.parent is None:
        return None
    if isinstance(context.command, click.Group):
        return f"Missing COMMAND: {', '.join(context.command.commands)}."
    for each in context.command.params:
        if isinstance(each, click.Argument) and (each.required or context.command.no_args_is_help):
            name = (each.metavar or each.name or "").removeprefix("-- ").split()[0]
            return f"Missing {name.upper().strip('[].')}."
    return None
