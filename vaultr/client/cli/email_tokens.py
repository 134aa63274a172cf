"""Parse email addresses, and the tokens in links that the server sends by email."""

import re
from typing import Final

from vaultr.client.errors import UsageError

# The server checks more; this catches a name or a typo before the user types a secret.
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_AFTER_TOKEN: Final = re.compile(r"[&#\s]")


def email_address(text: str) -> str:
    """Return the email address without spaces around it.

    :raises UsageError: the text is not an email address.
    """
    address = text.strip()
    if not _ADDRESS.fullmatch(address):
        raise UsageError("That is not an email address. Example: ann@example.org")
    return address


def token_of(text: str) -> str:
    """Return the token in ``text``, which may be the token itself or the whole link."""
    _, is_link, rest = text.strip().rpartition("token=")
    return _AFTER_TOKEN.split(rest, maxsplit=1)[0] if is_link else text.strip()


def recovery_token(text: str) -> str:
    """Return the token in ``text``, as the email about a recovery shows it.

    :raises UsageError: the token is incomplete, or the text is something else.
    """
    token = token_of(text)
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            "That is not the token from the email, which has 43 characters. Copy the whole token."
        )
    return token
