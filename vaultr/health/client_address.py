"""Which client address this server sees: told to who holds its keys, as `flask doctor` does."""

import hmac
import time
from typing import Final

from vaultr.security import keyring

ASKS: Final = "X-Vaultr-Doctor"
SEES: Final = "X-Vaultr-Sees"
_MINUTES: Final = 2  # how far two clocks may be apart


def token(minute: int) -> str:
    """Make what proves that one holds the server's keys, within a few minutes of ``minute``."""
    key = keyring.current().jwt.derived("doctor")
    return f"{minute}.{hmac.digest(key, str(minute).encode(), 'sha256').hex()}"


def proven(asked: str) -> bool:
    """Tell whether a header holds a token that is good now."""
    minute, _, _mac = asked.partition(".")
    if not (minute.isascii() and minute.isdigit() and len(minute) < 12):
        return False
    now = int(time.time()) // 60
    return abs(int(minute) - now) <= _MINUTES and hmac.compare_digest(
        asked.encode(), token(int(minute)).encode()
    )
