"""Step-up: prove the master password and second factor again before a sensitive action."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vaultr.client.cli import prompts
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.cli.sdk_session import retry_wrong_password
from vaultr.client.errors import CredentialsInvalid, SecondFactorRequired

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

T = TypeVar("T")


def step_up(options: GlobalOptions, vaultr: "Vaultr") -> None:
    """Prove the master password to the server, and the second factor if the account has one.

    Ask for the password, unless this command already has it.

    :raises UsageError: there is neither a terminal nor a file descriptor.
    """

    def attempt() -> None:
        password = prompts.password_again(options)
        with_second_factor(options, lambda **factor: vaultr.step_up(password, **factor))

    retry_wrong_password(options, attempt)


def with_second_factor(options: GlobalOptions, action: Callable[..., T]) -> T:
    """Call ``action``; if the server requires a second factor, call it again with one.

    :raises SecondFactorRequired: there is neither a file descriptor nor a terminal.
    """
    try:
        return action()
    except SecondFactorRequired:
        if options.totp_fd is None and not prompts.can_ask():
            raise
    if options.totp_fd is not None:
        return action(**prompts.second_factor(options))
    # The server asks for a second factor only after the password, so the password is right.
    return prompts.until_valid(
        lambda: action(**prompts.second_factor(options)),
        hint="Type a new code.",
        invalid=lambda error: isinstance(error, CredentialsInvalid),
    )
