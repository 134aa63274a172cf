"""Mail addresses in the one form in which they are compared and kept."""

import re
import unicodedata
from typing import Final

from vaultr.protocol.sizes import EMAIL_CHARACTERS

# Neither white space nor control characters, nor what only a quoted name may hold (RFC 5322,
# section 3.2.3). Nothing more: whether mail arrives there, the mail shows.
_PART: Final = r'[^\s@"(),:;<>\[\\\]\x00-\x1f\x7f-\x9f]+'
_ADDRESS: Final = re.compile(f"{_PART}@{_PART}")
PATTERN: Final = f"^ *{_PART}@{_PART} *$"


def normalised(text: str) -> str:
    """Trim, apply NFKC, lower the case, and nothing more: two addresses are one if this says so.

    :raises ValueError: it is no address: spaces, quotes, two @, over 320 characters.
    """
    address = unicodedata.normalize("NFKC", text.strip()).lower()
    if len(address) > EMAIL_CHARACTERS or not _ADDRESS.fullmatch(address):
        raise ValueError("a mail address of at most 320 characters")
    return address
