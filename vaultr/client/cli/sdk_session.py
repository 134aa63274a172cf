"""Opens the SDK for one command, and unlocks it where the command needs keys."""

import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vaultr.client.background import memory_protection
from vaultr.client.cli import prompts
from vaultr.client.cli.options import Choices
from vaultr.client.cli.output import printable, tell
from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr


@contextmanager
def closed(choices: Choices) -> Iterator["Vaultr"]:
    """Give the SDK without asking for a password; it forgets its keys at the end."""
    # httpx2 and cryptography take longer to import than --help may take in all.
    from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - heavy, see above

    memory_protection.guard()
    waiting = _say_waiting if sys.stderr.isatty() else None
    with Vaultr(
        choices.server, ca_file=choices.ca_file, offline=choices.offline, waiting=waiting
    ) as vaultr:
        yield vaultr
        for notice in vaultr.notices:
            tell(printable(notice))


@contextmanager
def opened(
    choices: Choices, *, without_server: bool = False, forget_first: bool = False
) -> Iterator["Vaultr"]:
    """Give the SDK with its keys: from the unlock process, else by the password.

    :param without_server: the command can be done on a device that is signed out, too.
    :param forget_first: end the unlock process before anything else; the command ends the session.
    :raises Locked: neither is there.
    :raises SessionEnded: the command asks the server, and this device is signed out.
    :raises UsageError: this device belongs to no account, or to another than was named.
    """
    with closed(choices) as vaultr:
        check_owner(choices, vaultr.email)
        if forget_first:
            vaultr.forget_elsewhere()
        if not vaultr.unlocked:
            if not (without_server or choices.copy_may_do):
                vaultr.check_session()  # before a password is typed in vain
            vaultr.unlock(prompts.password_or_locked(choices))
        yield vaultr


def _say_waiting(origin: str) -> None:
    tell(f"Waiting for {printable(origin)} to respond. Press Ctrl-C to stop.")


def check_owner(choices: Choices, owner: str | None) -> None:
    """Check that this device belongs to the account that was named, or to any.

    :raises UsageError: it belongs to none, or to another.
    """
    if owner is None:
        raise UsageError("This device belongs to no account yet: run vaultr login or signup.")
    if choices.email is not None and _plain(choices.email) != _plain(owner):
        raise UsageError("This device belongs to another account: use another VAULTR_DIR.")


def _plain(address: str) -> str:
    return unicodedata.normalize("NFKC", address).strip().lower()
