"""Merge environment sets into one environment, and replace this process by a command."""

import errno
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NoReturn

from vaultr.client.background import memory_protection
from vaultr.client.errors import UsageError, VaultrError

# Variables of this client that a child may inherit. Any other VAULTR_ variable may contain a
# secret.
_HARMLESS_VARIABLES: Final = frozenset(
    {b"VAULTR_URL", b"VAULTR_DIR", b"VAULTR_AGENT", b"VAULTR_ENV", b"VAULTR_HOME"}
)
_TOKEN_VARIABLES: Final = frozenset({b"VAULTR_TOKEN", b"VAULTR_TOKEN_FILE"})
# Variables that most programs need, and that contain no secrets.
_BASIC_VARIABLES: Final = frozenset(
    (
        b"PATH HOME USER LOGNAME SHELL PWD TERM COLORTERM NO_COLOR LANG LANGUAGE TZ TMPDIR"
        b" XDG_RUNTIME_DIR"
    ).split()
)
_NOT_FOUND_ERRORS: Final = (errno.ENOENT, errno.ENOTDIR)


class CommandNotFound(VaultrError):
    """The command was not found."""

    exit_code = 127  # as in a shell


class CommandNotStarted(VaultrError):
    """The command exists but cannot be executed."""

    exit_code = 126  # as in a shell


def merge_sets(
    sets: Iterable[tuple[str, Mapping[str, str]]], *, last_wins: bool = False
) -> dict[str, str]:
    """Return the variables of several sets.

    :param sets: the name of each set and its variables, in order.
    :param last_wins: a later set may override an earlier one.
    :raises UsageError: two sets define one variable. The message names the variable and both sets.
    """
    variables: dict[str, str] = {}
    owner: dict[str, str] = {}
    conflicts: list[str] = []
    for set_name, values in sets:
        for name, value in values.items():
            if name in variables and not last_wins:
                conflicts.append(f"{name} (in {owner[name]} and {set_name})")
            variables[name] = value
            owner[name] = set_name
    if conflicts:
        raise UsageError(
            f"Several sets define {', '.join(conflicts)}. Use --last-wins to take the last one."
        )
    return variables


def build_environment(
    variables: Mapping[str, str],
    inherited: Mapping[bytes, bytes],
    *,
    clean: bool = False,
    pass_token: bool = False,
) -> dict[bytes, bytes]:
    """Return the environment of a child: ``inherited``, overridden by ``variables`` in UTF-8.

    Variables of this client that may be secret are left out.

    :param clean: inherit only basic variables, such as PATH, HOME and LANG.
    :param pass_token: also inherit the token of a machine, or the name of its file.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if (name in _BASIC_VARIABLES or name.startswith(b"LC_") if clean else _is_harmless(name))
        or (pass_token and name in _TOKEN_VARIABLES)
    }
    # Names can come from the environment, where they may not be UTF-8.
    return kept | {os.fsencode(name): value.encode() for name, value in variables.items()}


def _is_harmless(name: bytes) -> bool:
    return not name.startswith(b"VAULTR_") or name in _HARMLESS_VARIABLES


def check_command(command: Sequence[str]) -> None:
    """Check that a command is well-formed.

    :raises CommandNotFound: it has no name.
    :raises UsageError: it contains a NUL character.
    """
    if not command[0]:
        raise CommandNotFound("The command is empty.")
    if any("\0" in word for word in command):
        raise UsageError("The command contains a NUL character.")


def replace_process(command: Sequence[str], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by ``command``, which takes over signals, terminal and exit code.

    Forget keys before calling this. The system closes Python's open files.

    :raises CommandNotFound, CommandNotStarted: this process was not replaced.
    """
    check_command(command)
    try:
        execute(command, environ)
    except OSError as error:
        raise start_error(command[0], error.errno or 0) from None


def execute(command: Sequence[str], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Replace this process by ``command``, which must be well-formed.

    :raises OSError: it cannot be executed.
    """
    # Python ignores both signals; programs expect the default, as from a shell.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    memory_protection.release()
    os.execvpe(command[0], list(command), dict(environ))  # nosec B606 # its user names the program


def start_error(name: str, number: int) -> CommandNotFound | CommandNotStarted:
    """Return the error, by its errno, for a command that was not executed."""
    kind = CommandNotFound if number in _NOT_FOUND_ERRORS else CommandNotStarted
    return kind(f"{name}: {os.strerror(number)}")
