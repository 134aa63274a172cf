"""The client address that this server sees, for `flask doctor`."""

import hmac
import time
from typing import Final

from vaultr.security import keyring

REQUEST_HEADER: Final = "X-Vaultr-Doctor"
RESPONSE_HEADER: Final = "X-Vaultr-Sees"
_MINUTES: Final = 2  # how far two clocks may differ


def new_token(minute: int) -> str:
    """Return a token, valid around ``minute``, that proves knowledge of the server's keys."""
    key = keyring.current().jwt.derived("doctor")
    return f"{minute}.{hmac.digest(key, str(minute).encode(), 'sha256').hex()}"


def is_valid_token(header: str) -> bool:
    """Check whether a header contains a valid token."""
    minute, _, _mac = header.partition(".")
    if not (minute.isascii() and minute.isdigit() and len(minute) < 12):
        return False
    now = int(time.time()) // 60
    return abs(int(minute) - now) <= _MINUTES and hmac.compare_digest(
        header.encode(), new_token(int(minute)).encode()
    )
