"""Open the SDK for one command, and unlock it where the command needs keys."""

import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from vaultr.client.background import memory_protection
from vaultr.client.cli import machine_mode, prompts
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.cli.output import print_note, printable
from vaultr.client.errors import CredentialsInvalid, SessionEnded, UsageError, VaultrError

if TYPE_CHECKING:
    from vaultr.client.background.lifetime import Lifetime
    from vaultr.client.vaultr_client import Vaultr

T = TypeVar("T")


@contextmanager
def locked_sdk(options: GlobalOptions) -> Iterator["Vaultr"]:
    """Open the SDK without asking for a password; at the end close it and print its notices."""
    # Importing httpx2 and cryptography takes longer than `--help` may take in total.
    from vaultr.client.storage.memory_folder import remove_leftovers  # noqa: PLC0415 - late, see above
    from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - heavy, see above

    memory_protection.guard()
    remove_leftovers()
    waiting = cache(_print_waiting) if sys.stderr.isatty() else None  # once in a command
    with Vaultr(
        options.server, ca_file=options.trusted_ca_file, offline=options.offline, waiting=waiting
    ) as vaultr:
        try:
            yield vaultr
        except SessionEnded as error:
            raise error if options.offline else vaultr.explained(error) from None
        vaultr.remember_ca_file()
        for notice in vaultr.notices:
            print_note(printable(notice))


@contextmanager
def _machine_sdk(options: GlobalOptions, token: str) -> Iterator["Vaultr"]:
    """Open the SDK for a machine; at the end close it and print its notices."""
    from vaultr.client.vaultr_client import Vaultr  # noqa: PLC0415 - heavy, see above

    memory_protection.guard()
    waiting = cache(_print_waiting) if sys.stderr.isatty() else None  # once in a command
    with Vaultr.for_machine(
        options.server,
        token,
        ca_file=options.trusted_ca_file,
        offline=options.offline,
        waiting=waiting,
    ) as vaultr:
        yield vaultr
        for notice in vaultr.notices:
            print_note(printable(notice))


@contextmanager
def unlocked_sdk(
    options: GlobalOptions, *, without_server: bool = False, forget_first: bool = False
) -> Iterator["Vaultr"]:
    """Open the SDK with its keys: from the agent, the master password, or a machine's token.

    Use it before a command asks for anything else.

    :param without_server: whether the command also works on a logged-out device.
    :param forget_first: end the agent first, because the command ends the session.
    :raises Locked: no agent holds the keys, and the password cannot be asked for.
    :raises SessionEnded: the command needs the server, and this device is logged out.
    :raises UsageError: this device belongs to no account, or not to the account in ``--email``.
    """
    if (token := machine_mode.token()) is not None:
        with _machine_sdk(options, token) as vaultr:
            yield vaultr
        return
    with locked_sdk(options) as vaultr:
        check_account(options, vaultr.email)
        if forget_first:
            vaultr.forget_elsewhere()
        if not vaultr.unlocked:
            if not (without_server or options.may_use_copy):
                vaultr.check_session()  # before the user types a password for nothing
            unlock(options, vaultr)
        yield vaultr


def _print_waiting(origin: str) -> None:
    print_note(f"Waiting for {printable(origin)} to respond. Press Ctrl-C to stop.")


def unlock(
    options: GlobalOptions,
    vaultr: "Vaultr",
    *,
    keep: bool = False,
    lifetime: "Lifetime | None" = None,
) -> None:
    """Unlock with the master password; if a typed one is wrong, ask again, up to three times.

    :param keep: let the agent hold the keys for the next commands.
    :param lifetime: how long it holds them.
    :raises Locked: there is no way to get the password.
    :raises WrongPassword: it was wrong three times, or it came from a file descriptor.
    :raises PasswordChangedElsewhere: it was wrong, and the server shows the cause.
    """
    # This module is part of the SDK, which is already loaded.
    from vaultr.client.vaultr_client import WrongPassword  # noqa: PLC0415 - heavy, see above

    def attempt() -> None:
        try:
            vaultr.unlock(prompts.password_or_locked(options), keep=keep, lifetime=lifetime)
        except WrongPassword as error:
            raise error if options.offline else vaultr.explained(error) from None

    # The first unlock after a signup logs in.
    retry_wrong_password(options, attempt, rejected=CredentialsInvalid)


def retry_wrong_password(
    options: GlobalOptions,
    action: Callable[[], T],
    *,
    rejected: type[VaultrError] | None = None,
) -> T:
    """Call ``action``, which asks for the master password; repeat it if a typed one is wrong.

    :param rejected: another error that means a wrong password.
    :raises WrongPassword: it was wrong three times, or it came from a file descriptor.
    """
    # This module is part of the SDK, which is already loaded.
    from vaultr.client.vaultr_client import WrongPassword  # noqa: PLC0415 - heavy, see above

    wrong = (WrongPassword,) if rejected is None else (WrongPassword, rejected)

    def attempt() -> T:
        try:
            return action()
        except wrong:
            options.password = None
            raise

    if options.password_fd is not None:
        return attempt()
    return prompts.until_valid(
        attempt, hint="Try again.", invalid=lambda error: isinstance(error, wrong)
    )


def check_account(options: GlobalOptions, email: str | None) -> None:
    """Check that this device belongs to an account, and to the one in ``--email``.

    :param email: the email address of the account that this device belongs to.
    :raises UsageError: this device belongs to no account, or to another one.
    """
    if email is None:
        raise UsageError(
            "This device belongs to no account. Run `vaultr login`, or `vaultr signup` to create"
            " one."
        )
    if options.email is not None and _normalized(options.email) != _normalized(email):
        raise UsageError(
            "This device belongs to another account than the one in --email. Leave --email out, or"
            " set VAULTR_DIR to another folder."
        )


def _normalized(address: str) -> str:
    return unicodedata.normalize("NFKC", address).strip().lower()
