"""The token of a machine: where commands find it, and which commands a machine can run."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from vaultr.client.errors import MachineCannot, UsageError, VaultrError

TOKEN_VARIABLE: Final = "VAULTR_TOKEN"  # nosec B105 # the name of the variable
FILE_VARIABLE: Final = "VAULTR_TOKEN_FILE"
_READS: Final = ("run", "read", "inject", "export", "list", "show", "code", "sync")
_WRITES: Final = ("add", "edit", "rm", "restore", "import")
# The gateway is only for machines; creating tokens for its callers needs no server.
COMMANDS: Final = frozenset((*_READS, *_WRITES, "gateway"))
_MAX_TOKEN_BYTES: Final = 4096


class TokenInArguments(UsageError):
    """A machine token is in the arguments, where other users of the computer can read it."""

    advice = "Replace the token: vaultr machines token NAME"


def is_set() -> bool:
    """Check whether this process runs as a machine."""
    return TOKEN_VARIABLE in os.environ or FILE_VARIABLE in os.environ


def token() -> str | None:
    """Return the machine token from its variable or file; None if neither is set.

    :raises UsageError: both are set, or the token is empty. The message never contains the token.
    :raises VaultrError: the file cannot be read.
    """
    text, file = os.environ.get(TOKEN_VARIABLE), os.environ.get(FILE_VARIABLE)
    if text is not None and file is not None:
        raise UsageError(f"Set either {TOKEN_VARIABLE} or {FILE_VARIABLE}, not both.")
    if file is not None:
        text = _read(Path(file))
    if text is not None and not text.strip():
        where = FILE_VARIABLE if file is not None else TOKEN_VARIABLE
        raise UsageError(
            f"{where} is set, but the token is empty. In CI, jobs of forks often get no secrets."
        )
    return text


def _read(file: Path) -> str:
    try:
        with file.open("rb") as source:
            return source.read(_MAX_TOKEN_BYTES).decode("ascii")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise VaultrError(f"Cannot read the file that {FILE_VARIABLE} names: {reason}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{FILE_VARIABLE} does not name a file with a machine token.") from None


def check_command(context: click.Context) -> None:
    """Check that a machine can run the command of this context.

    :raises MachineCannot: the token of a machine is set, and only an account can do this.
    """
    if not is_set():
        return
    names = []
    within: click.Context | None = context
    while within is not None and within.parent is not None:
        names.append(within.command.name or "")
        within = within.parent
    if names and names[-1] not in COMMANDS:
        raise MachineCannot(
            f"A machine cannot do this: vaultr {' '.join(reversed(names))}. With a machine token,"
            f" these commands work: {', '.join(_READS)}; with write access also"
            f" {', '.join(_WRITES)}. To use an account, unset {TOKEN_VARIABLE} and {FILE_VARIABLE}."
        )


def check_arguments(arguments: Sequence[str] | None) -> None:
    """Check that no argument contains a machine token.

    :raises TokenInArguments: an argument does; the message does not contain it.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not any("vmt_" in word for word in words):
        return
    # cryptography is slow to import, and tokens are rarely in arguments.
    from vaultr.client.crypto.machine_keys import holds_token  # noqa: PLC0415 - heavy, see above

    if any(map(holds_token, words)):
        raise TokenInArguments(
            "An argument contains a machine token, and other users of this computer can read"
            f" arguments. Nothing was done. Use {TOKEN_VARIABLE} or {FILE_VARIABLE}."
        )
