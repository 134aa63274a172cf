"""Proves to the server that the owner is there, for what a stolen session must not do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vaultr.client.cli import prompts
from vaultr.client.cli.options import Choices
from vaultr.client.errors import SecondFactorRequired

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

T = TypeVar("T")


def proven(choices: Choices, vaultr: "Vaultr") -> None:
    """Have the master password, and the second factor where there is one, proven anew.

    The password is the one that this command was given already, else it is asked for.

    :raises UsageError: nobody is there to be asked, and no descriptor was named.
    """
    password = prompts.password_again(choices)
    with_factor(choices, lambda **factor: vaultr.step_up(password, **factor))


def with_factor(choices: Choices, prove: Callable[..., T]) -> T:
    """Call ``prove``, and again with a second factor when the server asks for one.

    :raises SecondFactorRequired: it does, and there is neither a descriptor nor a terminal.
    """
    try:
        return prove()
    except SecondFactorRequired:
        factor = prompts.second_factor(choices)
        if factor is None:
            raise
        return prove(**factor)
