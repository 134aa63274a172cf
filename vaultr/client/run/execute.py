"""Puts environment sets into the environment of one process, which takes this one's place."""

import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NoReturn

from vaultr.client.background import memory_protection
from vaultr.client.errors import UsageError, VaultrError

# What a child may learn of this client. Anything else that begins so may hold a secret of ours.
_HARMLESS: Final = frozenset(
    {b"VAULTR_URL", b"VAULTR_DIR", b"VAULTR_AGENT", b"VAULTR_ENV", b"VAULTR_HOME"}
)
# What a program can hardly do without, and what tells nothing of other programs' secrets.
_BASIC: Final = frozenset(
    (
        b"PATH HOME USER LOGNAME SHELL PWD TERM COLORTERM NO_COLOR LANG LANGUAGE TZ TMPDIR"
        b" XDG_RUNTIME_DIR"
    ).split()
)
_MISSING: Final = (errno.ENOENT, errno.ENOTDIR)


class CommandNotFound(VaultrError):
    """There is no such command."""

    exit_code = 127  # as in a shell


class CommandNotStarted(VaultrError):
    """The command is there but cannot be executed."""

    exit_code = 126  # as in a shell


def joined(
    sets: Iterable[tuple[str, Mapping[str, str]]], *, last_wins: bool = False
) -> dict[str, str]:
    """Join the variables of several sets.

    :param sets: name of each set and its variables, in the order given.
    :param last_wins: a later set may replace what an earlier one says.
    :raises UsageError: two sets hold one variable and no order was given; names all three.
    """
    variables: dict[str, str] = {}
    owner: dict[str, str] = {}
    clashes: list[str] = []
    for set_name, values in sets:
        for name, value in values.items():
            if name in variables and not last_wins:
                clashes.append(f"{name} (in {owner[name]} and {set_name})")
            variables[name] = value
            owner[name] = set_name
    if clashes:
        raise UsageError(
            f"More than one set holds {', '.join(clashes)}."
            " Say --last-wins if the set named later is to win."
        )
    return variables


def environment(
    variables: Mapping[str, str], inherited: Mapping[bytes, bytes], *, clean: bool = False
) -> dict[bytes, bytes]:
    """Build the child's environment: what this process has, then ``variables`` over it, in UTF-8.

    Settings of this client that may be secret are left out.

    :param clean: keep of what is inherited only what says where and how the user works.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if (name in _BASIC or name.startswith(b"LC_") if clean else _is_harmless(name))
    }
    # Names come from the environment, too, where they may be no UTF-8.
    return kept | {os.fsencode(name): value.encode() for name, value in variables.items()}


def _is_harmless(name: bytes) -> bool:
    return not name.startswith(b"VAULTR_") or name in _HARMLESS


def check_command(command: Sequence[str]) -> None:
    """Refuse what can be no command.

    :raises CommandNotFound: it has no name.
    :raises UsageError: a NUL is in it.
    """
    if not command[0]:
        raise CommandNotFound("the command is empty")
    if any("\0" in word for word in command):
        raise UsageError("a part of the command holds a NUL")


def become(command: Sequence[str], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by ``command``: signals, terminal and exit code are then its own.

    Forget keys before this. Open files of Python are closed by the system on the way.

    :raises CommandNotFound, CommandNotStarted: nothing was replaced.
    """
    check_command(command)
    try:
        execute(command, environ)
    except OSError as error:
        raise not_started(command[0], error.errno or 0) from None


def execute(command: Sequence[str], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by ``command``, whose form was checked.

    :raises OSError: it cannot be executed.
    """
    # Python ignores both; a program expects to begin with the default, as from a shell.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    memory_protection.release()
    os.execvpe(command[0], list(command), dict(environ))  # nosec B606 # its user names the program


def not_started(name: str, number: int) -> CommandNotFound | CommandNotStarted:
    """Make the refusal of a command that the system did not execute, by its error number."""
    kind = CommandNotFound if number in _MISSING else CommandNotStarted
    return kind(f"{name}: {os.strerror(number)}")
