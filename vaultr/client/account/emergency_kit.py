"""The emergency kit: what a new device needs besides the master password.

It contains the server's origin, the account's id, its KDF parameters and the hash of its salt, so
that a new device cannot send anything to another server or use the password with other parameters.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vaultr.client.crypto.primitives import KEY_BYTES, sha256
from vaultr.client.errors import UsageError
from vaultr.client.storage.pins import Pins
from vaultr.client.transport.origin import origin_of
from vaultr.protocol.encoding import ID_PATTERN, b64, unb64_exactly
from vaultr.protocol.entries import HASH_BYTES
from vaultr.protocol.kdf import ALGORITHM, Kdf, UnsafeKdf, check_kdf

PREFIX: Final = "vaultr-kit:1"
_NO_KEY: Final = "none"
_CHECK_DIGITS: Final = 8
_BASE64URL: Final = r"[A-Za-z0-9_-]{43}"
_FORM: Final = re.compile(
    rf"{PREFIX};origin=(?P<origin>[!-:<-~]+);account=(?P<account>{ID_PATTERN});kdf={ALGORITHM},"
    rf"(?P<m>[0-9]{{1,8}}),(?P<t>[0-9]{{1,3}}),(?P<p>[0-9]{{1,3}});salt=(?P<salt>{_BASE64URL});"
    rf"key=(?P<key>{_BASE64URL}|{_NO_KEY});check=(?P<check>[0-9a-f]{{{_CHECK_DIGITS}}})",
    re.ASCII,
)


class NotAKit(ValueError):
    """The text is not an emergency kit; the message does not repeat it."""


@dataclass(frozen=True, slots=True)
class Kit:
    """The content of an emergency kit.

    :ivar secret_key: None if the account has none.
    """

    pins: Pins
    secret_key: bytes | None = field(default=None, repr=False)

    def parts(self) -> list[str]:
        """Return the text in parts, one for each printed line.

        It ends with a checksum, which distinguishes a typing error from a wrong secret key.
        """
        pins, kdf = self.pins, self.pins.kdf
        lines = [
            f"{PREFIX};",
            f"origin={pins.origin};",
            f"account={pins.account_id};",
            f"kdf={kdf.alg},{kdf.m},{kdf.t},{kdf.p};",
            f"salt={b64(pins.salt_sha256)};",
            f"key={_NO_KEY if self.secret_key is None else b64(self.secret_key)};",
        ]
        return [*lines, f"check={_check(''.join(lines))}"]

    @property
    def text(self) -> str:
        """The text below the QR code: visible ASCII without spaces."""
        return "".join(self.parts())


def looks_like_kit(text: str) -> bool:
    """Check whether the input is meant to be a kit, not a secret key."""
    return "".join(text.split()).startswith(PREFIX.partition(":")[0])


def is_begun_kit(text: str) -> bool:
    """Check whether the input is the beginning of a kit, with more lines to come."""
    plain = "".join(text.split())
    _, check, digits = plain.partition("check=")
    return looks_like_kit(plain) and (not check or len(digits) < _CHECK_DIGITS)


def read_kit(text: str) -> Kit:
    """Parse the text of a kit; spaces and line breaks do not matter.

    :raises NotAKit: it is not a kit, or its checksum is wrong.
    """
    plain = "".join(text.split())
    found = _FORM.fullmatch(plain)
    if found is None:
        raise NotAKit(f"an emergency kit begins with {PREFIX} and ends with check= and 8 digits")
    checked, _, check = plain.rpartition("check=")
    if _check(checked) != check:
        raise NotAKit("its checksum is wrong: a character was misread or mistyped")
    try:
        origin = origin_of(found["origin"])
        kdf = Kdf(ALGORITHM, *(int(found[name]) for name in ("m", "t", "p")))
        check_kdf(kdf)
        key = None if found["key"] == _NO_KEY else unb64_exactly(found["key"], KEY_BYTES)
        pins = Pins(
            account_id=UUID(found["account"]),
            origin=origin,
            kdf=kdf,
            salt_sha256=unb64_exactly(found["salt"], HASH_BYTES),
            secret_key=key is not None,
        )
    except (UnsafeKdf, UsageError, ValueError) as error:
        raise NotAKit(f"no account has such values: {error}") from None
    return Kit(pins, key)


def _check(text: str) -> str:
    return sha256(text.encode()).hex()[:_CHECK_DIGITS]
