"""Codes that change every 30 seconds (RFC 6238), as all authenticator apps compute them.

Source: RFC 6238 (time steps) over RFC 4226, section 5.3 (truncation). SHA-1, six digits and 30
seconds are the only choices that every app takes; SHA-1 stands in an HMAC here, where its
collisions do not matter (RFC 6238, section 1.2). Some lines in place of a dependency.
"""

import base64
import hmac
import secrets
from typing import Final, Literal
from urllib.parse import quote

DIGITS: Final = 6
STEP_SECONDS: Final = 30
STEPS_APART: Final = 1  # how far the two clocks may be apart: RFC 6238, section 5.2
SECRET_BYTES: Final = 20  # as long as the HMAC's output: RFC 4226, section 4, R6

Hash = Literal["sha1", "sha256", "sha512"]


def new_secret() -> bytes:
    """Draw a secret."""
    return secrets.token_bytes(SECRET_BYTES)


def code(secret: bytes, step: int, *, digits: int = DIGITS, hash_name: Hash = "sha1") -> str:
    """Compute the code of a time step, with its leading zeros."""
    mac = hmac.digest(secret, step.to_bytes(8), hash_name)
    at = mac[-1] & 0x0F
    number = int.from_bytes(mac[at : at + 4]) & 0x7FFF_FFFF
    return f"{number % 10**digits:0{digits}d}"


def step_of(moment: float) -> int:
    """Give the time step of a moment, in seconds since 1970."""
    return int(moment // STEP_SECONDS)


def matching_step(secret: bytes, given: str, moment: float) -> int | None:
    """Find the step, at most one from now, whose code was given; all are compared, in full."""
    now, found = step_of(moment), None
    for step in range(now - STEPS_APART, now + STEPS_APART + 1):
        if hmac.compare_digest(code(secret, step).encode(), given.encode()):
            found = step
    return found


def as_text(secret: bytes) -> str:
    """Write a secret as apps take it: base32 (RFC 4648) without padding."""
    return base64.b32encode(secret).rstrip(b"=").decode()


def uri(secret: bytes, account: str, issuer: str) -> str:
    """Give what a QR code holds: an otpauth URI, in the form that Google Authenticator set."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return (
        f"otpauth://totp/{label}?secret={as_text(secret)}&issuer={quote(issuer, safe='')}"
        f"&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
    )
