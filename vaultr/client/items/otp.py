"""One-time codes of a login item, from a base32 secret, an otpauth URI or a Steam URI.

Source: RFC 4648 (base32); the otpauth URI as Google Authenticator's wiki describes it. For the
algorithm see :mod:`vaultr.protocol.totp`.
"""

import base64
import binascii
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from vaultr.client.errors import VaultrError
from vaultr.protocol import totp

_HASHES: Final[Mapping[str, totp.Hash]] = {
    "SHA1": "sha1",
    "SHA256": "sha256",
    "SHA512": "sha512",
}
_DIGITS: Final = range(6, 11)  # RFC 4226 section 5.3 requires at least 6; 31 bits yield at most 10
_PERIODS: Final = range(1, 3601)
_SECRET_BYTES: Final = range(1, 1025)
# Steam Guard writes codes without letters and digits that look alike.
_STEAM_LETTERS: Final = "23456789BCDFGHJKMNPQRTVWXY"
_STEAM_LENGTH: Final = 5


class NoCode(VaultrError):
    """The field does not contain a secret for one-time codes."""


@dataclass(frozen=True, slots=True)
class Totp:
    """A secret for one-time codes, and how to format them.

    :ivar period: seconds for which a code is valid.
    :ivar letters: the characters of a code; None for decimal digits.
    """

    key: bytes = field(repr=False)
    hash_name: totp.Hash = "sha1"
    digits: int = totp.DIGITS
    period: int = totp.STEP_SECONDS
    letters: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Totp":
        """Parse a base32 secret, an ``otpauth://totp/…`` or a ``steam://…`` URI.

        :raises NoCode: the text is none of them; the message does not repeat it.
        """
        text = text.strip()
        if text.lower().startswith("steam://"):
            return cls(_key(text[8:]), digits=_STEAM_LENGTH, letters=_STEAM_LETTERS)
        if not text.lower().startswith("otpauth://"):
            return cls(_key(text))
        try:
            uri = urlsplit(text)
            pairs = parse_qsl(uri.query, keep_blank_values=True, max_num_fields=50)
        except ValueError:
            raise NoCode("The otpauth URI cannot be parsed.") from None
        if uri.netloc.lower() != "totp":
            raise NoCode(
                "Only time-based codes are supported: the URI must begin with otpauth://totp/."
            )
        query = dict(pairs)
        if len(query) != len(pairs):
            raise NoCode("The otpauth URI has a parameter twice.")
        hash_name = _HASHES.get(query.get("algorithm", "SHA1").upper().replace("-", ""))
        if hash_name is None:
            raise NoCode(f"The algorithm of the otpauth URI must be one of {', '.join(_HASHES)}.")
        digits = _number(query, "digits", totp.DIGITS, _DIGITS)
        period = _number(query, "period", totp.STEP_SECONDS, _PERIODS)
        return cls(_key(query.get("secret", "")), hash_name, digits, period)

    def at(self, seconds: float) -> str:
        """Return the code at a time, in seconds since 1970."""
        counter = totp.step_of(seconds, self.period)
        if self.letters is None:
            return totp.code(self.key, counter, digits=self.digits, hash_name=self.hash_name)
        number, code = totp.hotp_value(self.key, counter, self.hash_name), ""
        for _ in range(self.digits):
            number, index = divmod(number, len(self.letters))
            code += self.letters[index]
        return code

    def left(self, seconds: float) -> int:
        """Return how many seconds the code at a time is still valid: 1 to the period."""
        return self.period - int(seconds) % self.period


def code_of(text: str) -> str:
    """Return the current code for a secret or a URI.

    :raises NoCode: the text is neither.
    """
    return Totp.parse(text).at(time.time())


def _key(text: str) -> bytes:
    # People copy secrets in groups, in either case, and with or without padding.
    plain = re.sub(r"[\s-]", "", text).upper().rstrip("=")
    try:
        key = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except (binascii.Error, ValueError):
        raise NoCode("The secret for one-time codes is not base32 (A to Z, 2 to 7).") from None
    if len(key) not in _SECRET_BYTES:
        raise NoCode("The secret for one-time codes is missing.")
    return key


def _number(query: dict[str, str], name: str, default: int, allowed: range) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) not in allowed:
        raise NoCode(f"The {name} of the otpauth URI must be {allowed[0]} to {allowed[-1]}.")
    return int(text)
