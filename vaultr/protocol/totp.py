"""Time-based one-time passwords (TOTP), as authenticator apps compute them.

Source: RFC 6238 (time steps) over RFC 4226, section 5.3 (truncation). Vaultr's own second factor
uses SHA-1, six digits and 30 seconds, the only choices that every app supports. SHA-1 is safe here:
HMAC does not depend on collision resistance (RFC 6238, section 1.2).
"""

import base64
import hmac
import secrets
from typing import Final, Literal
from urllib.parse import quote

DIGITS: Final = 6
STEP_SECONDS: Final = 30
STEPS_APART: Final = 1  # allowed clock difference in steps: RFC 6238, section 5.2
SECRET_BYTES: Final = 20  # the length of the HMAC's output: RFC 4226, section 4, R6

Hash = Literal["sha1", "sha256", "sha512"]


def new_secret() -> bytes:
    """Return a random secret."""
    return secrets.token_bytes(SECRET_BYTES)


def hotp_value(secret: bytes, counter: int, hash_name: Hash = "sha1") -> int:
    """Return the 31-bit number that yields the code of a counter."""
    mac = hmac.digest(secret, counter.to_bytes(8), hash_name)
    offset = mac[-1] & 0x0F
    return int.from_bytes(mac[offset : offset + 4]) & 0x7FFF_FFFF


def code(secret: bytes, counter: int, *, digits: int = DIGITS, hash_name: Hash = "sha1") -> str:
    """Return the decimal code of a counter, with its leading zeros."""
    return f"{hotp_value(secret, counter, hash_name) % 10**digits:0{digits}d}"


def step_of(moment: float, period: int = STEP_SECONDS) -> int:
    """Return the counter at a time in seconds since 1970; each one lasts ``period`` seconds."""
    return int(moment // period)


def matching_step(secret: bytes, entered: str, moment: float) -> int | None:
    """Return the step of a code, if it is at most one away from ``moment``, in constant time."""
    now, found = step_of(moment), None
    for step in range(now - STEPS_APART, now + STEPS_APART + 1):
        if hmac.compare_digest(code(secret, step).encode(), entered.encode()):
            found = step
    return found


def as_text(secret: bytes) -> str:
    """Return the secret as apps accept it: base32 (RFC 4648) without padding."""
    return base64.b32encode(secret).rstrip(b"=").decode()


def uri(secret: bytes, account: str, issuer: str) -> str:
    """Return the otpauth URI for a QR code, in the form that Google Authenticator defined."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return (
        f"otpauth://totp/{label}?secret={as_text(secret)}&issuer={quote(issuer, safe='')}"
        f"&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
    )
