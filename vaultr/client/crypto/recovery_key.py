"""The printable recovery key: its text, and the keys derived from it."""

import base64
import secrets
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.primitives import KEY_BYTES, hkdf, sha256
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.protocol.encoding import lp

_LABEL: Final = "vaultr/v1/recovery"
_CHECK_LABEL: Final = b"vaultr/v1/recovery-key"
_CHECK_BYTES: Final = 3  # key and checksum together have exactly 56 base32 digits
_DIGITS: Final = 56
_GROUP: Final = 4
# Digits that base32 does not use, and the letters that they are misread for.
_MISREAD: Final = str.maketrans({"0": "O", "1": "I", "8": "B"})


class NotARecoveryKey(ValueError):
    """The text is not a recovery key; the message does not repeat it."""


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """32 random bytes, printed on paper, that open the account key."""

    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "RecoveryKey":
        """Return a new random recovery key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def read(cls, text: str) -> "RecoveryKey":
        """Return the recovery key from its text, ignoring case, white space and dashes.

        :raises NotARecoveryKey: it has another form, or its checksum does not match.
        """
        digits = "".join(text.replace("-", " ").split()).upper().translate(_MISREAD)
        try:
            data = base64.b32decode(digits) if len(digits) == _DIGITS else b""
        except ValueError:
            data = b""
        if not data:
            raise NotARecoveryKey(
                f"a recovery key has {_DIGITS} characters: letters, and digits from 2 to 7"
            )
        key, check = data[:KEY_BYTES], data[KEY_BYTES:]
        if check != _check(key):
            raise NotARecoveryKey(
                "its checksum does not match. Compare it with your copy; a character is wrong"
            )
        return cls(key)

    @property
    def text(self) -> str:
        """The key in base32, in groups of four, with a checksum at the end."""
        digits = base64.b32encode(self.key + _check(self.key)).decode()
        return "-".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))

    def auth(self, account_id: UUID) -> bytes:
        """Derive the proof for the server, which stores only its SHA-256."""
        return self._derive("auth", account_id)

    def verifier(self, account_id: UUID) -> bytes:
        """Return the verifier that the server stores."""
        return sha256(self.auth(account_id))

    def seal(self, account_id: UUID, epoch: int, account_key: bytes) -> bytes:
        """Seal the account key under the recovery key."""
        return seal(self._derive("kek", account_id), aad.recovery(account_id, epoch), account_key)

    def open(self, account_id: UUID, epoch: int, sealed: bytes) -> bytes:
        """Open the account key.

        :raises SealBroken: the account or epoch differs, or the sealed value is damaged.
        """
        what = "the account key under the recovery key"
        bound = aad.recovery(account_id, epoch)
        return open_sealed(self._derive("kek", account_id), bound, sealed, what)

    def _derive(self, purpose: str, account_id: UUID) -> bytes:
        return hkdf(self.key, bytes(KEY_BYTES), lp(_LABEL, purpose, account_id), KEY_BYTES)


def _check(key: bytes) -> bytes:
    return sha256(_CHECK_LABEL + key)[:_CHECK_BYTES]
