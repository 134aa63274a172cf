"""Opens the SDK for one command, and unlocks it where the command needs keys."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vaultr.client.cli import asking
from vaultr.client.cli.options import Choices
from vaultr.client.errors import Locked

if TYPE_CHECKING:
    from vaultr.client.api import Vaultr


@contextmanager
def closed(choices: Choices) -> Iterator["Vaultr"]:
    """Give the SDK without asking for a password; it forgets its keys at the end."""
    # httpx2 and cryptography take longer to import than --help may take in all.
    from vaultr.client.api import Vaultr  # noqa: PLC0415 - heavy, see above

    agent = os.environ.get("VAULTR_AGENT", "").lower() != "off"
    with Vaultr(choices.server, ca_file=choices.ca_file, agent=agent) as vaultr:
        yield vaultr


@contextmanager
def opened(choices: Choices) -> Iterator["Vaultr"]:
    """Give the SDK with its keys: from the unlock process, else by the password.

    :raises Locked: neither is there.
    """
    with closed(choices) as vaultr:
        if not vaultr.unlocked:
            if choices.password_fd is None and not asking.can_ask():
                raise Locked(
                    "This device is locked: run `vaultr unlock`, or hand the password over by"
                    " --password-fd."
                )
            vaultr.unlock(asking.password(choices))
        yield vaultr
