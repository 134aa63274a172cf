"""One-time codes by time (TOTP) from what a login keeps: a secret, or an otpauth address.

Source: RFC 4226 (HOTP), RFC 6238 (TOTP), RFC 4648 (base32); the otpauth address as Google
Authenticator's wiki describes it.
"""

import base64
import binascii
import hmac
import re
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from vaultr.client.errors import VaultrError

_DIGESTS: Final = {"SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}
_DIGITS: Final = range(6, 11)  # RFC 4226 section 5.3 asks for 6 at least; 31 bits give 10 at most
_PERIODS: Final = range(1, 3601)
_SECRET_BYTES: Final = range(1, 1025)
# What a Steam Guard code is written with: no letter or digit that looks like another.
_STEAM_LETTERS: Final = "23456789BCDFGHJKMNPQRTVWXY"
_STEAM_LENGTH: Final = 5


class NoCode(VaultrError):
    """The field holds nothing that one-time codes come from; says why, without the secret."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Totp:
    """What the codes come from.

    :ivar period: seconds for which a code holds.
    :ivar letters: what the code is written with; None for decimal digits.
    """

    key: bytes = field(repr=False)
    digest: str = "sha1"
    digits: int = 6
    period: int = 30
    letters: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Totp":
        """Read a base32 secret, an ``otpauth://totp/…`` or a ``steam://…`` address.

        :raises NoCode: it is none of them.
        """
        text = text.strip()
        if text.lower().startswith("steam://"):
            return cls(_key(text[8:]), digits=_STEAM_LENGTH, letters=_STEAM_LETTERS)
        if not text.lower().startswith("otpauth://"):
            return cls(_key(text))
        try:
            address = urlsplit(text)
            pairs = parse_qsl(address.query, keep_blank_values=True, max_num_fields=50)
        except ValueError:
            raise NoCode("The otpauth address cannot be read.") from None
        if address.netloc.lower() != "totp":
            raise NoCode("Only codes by time are known: the address must begin otpauth://totp/.")
        said = dict(pairs)
        if len(said) != len(pairs):
            raise NoCode("The otpauth address says one thing twice.")
        digest = _DIGESTS.get(said.get("algorithm", "SHA1").upper().replace("-", ""))
        if digest is None:
            raise NoCode(f"Its algorithm must be one of {', '.join(_DIGESTS)}.")
        digits = _number(said, "digits", 6, _DIGITS)
        return cls(
            _key(said.get("secret", "")), digest, digits, _number(said, "period", 30, _PERIODS)
        )

    def at(self, seconds: float) -> str:
        """Give the code of a moment, in seconds since 1970."""
        counter = int(seconds) // self.period
        mac = hmac.digest(self.key, counter.to_bytes(8, "big"), self.digest)
        offset = mac[-1] & 0x0F
        number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
        if self.letters is None:
            return str(number % 10**self.digits).zfill(self.digits)
        code = ""
        for _ in range(self.digits):
            number, place = divmod(number, len(self.letters))
            code += self.letters[place]
        return code

    def left(self, seconds: float) -> int:
        """Tell for how many more seconds the code of a moment holds: from 1 to the period."""
        return self.period - int(seconds) % self.period


def code_of(text: str) -> str:
    """Give the code of this moment for a secret or an address.

    :raises NoCode: it is neither.
    """
    return Totp.parse(text).at(time.time())


def _key(text: str) -> bytes:
    # People copy it in groups, in either case, and with or without the filling.
    plain = re.sub(r"[\s-]", "", text).upper().rstrip("=")
    try:
        key = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except (binascii.Error, ValueError):
        raise NoCode("The secret of one-time codes is not base32 (A to Z, 2 to 7).") from None
    if len(key) not in _SECRET_BYTES:
        raise NoCode("There is no secret for one-time codes.")
    return key


def _number(said: dict[str, str], name: str, default: int, allowed: range) -> int:
    text = said.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) not in allowed:
        raise NoCode(f"Its {name} must be from {allowed[0]} to {allowed[-1]}.")
    return int(text)
