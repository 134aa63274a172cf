"""What has to do with mails, as it is typed: an address, and the token that a mail brings."""

import re
from typing import Final

from vaultr.client.errors import UsageError

# The server knows more rules; this tells an address from a name or a slip before a secret is typed.
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+")
_AFTER_TOKEN: Final = re.compile(r"[&#\s]")


def mail_address(text: str) -> str:
    """Read a mail address.

    :raises UsageError: it cannot be one.
    """
    address = text.strip()
    if not _ADDRESS.fullmatch(address):
        raise UsageError("That is not a mail address; one looks like ann@example.org.")
    return address


def token_of(text: str) -> str:
    """Read a token, also out of the whole link in which its mail brings it."""
    _, is_link, rest = text.strip().rpartition("token=")
    return _AFTER_TOKEN.split(rest, maxsplit=1)[0] if is_link else text.strip()
