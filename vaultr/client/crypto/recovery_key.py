"""The printable recovery key: how it is written, and what is derived from it."""

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
_CHECK_BYTES: Final = 3  # so that key and checksum are 56 digits exactly
_DIGITS: Final = 56
_GROUP: Final = 4
# Digits that base32 lacks, as people misread them.
_MISREAD: Final = str.maketrans({"0": "O", "1": "I", "8": "B"})


class NotARecoveryKey(ValueError):
    """The text is no recovery key; what was typed is not repeated."""


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """32 random bytes that open the account key, on paper."""

    key: bytes = field(repr=False)

    @classmethod
    def new(cls) -> "RecoveryKey":
        """Draw one."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def read(cls, text: str) -> "RecoveryKey":
        """Read what :attr:`text` wrote; case, spaces and dashes do not matter.

        :raises NotARecoveryKey: it is none, or was misread.
        """
        digits = "".join(text.replace("-", " ").split()).upper().translate(_MISREAD)
        try:
            data = base64.b32decode(digits) if len(digits) == _DIGITS else b""
        except ValueError:
            data = b""
        if not data:
            raise NotARecoveryKey(f"a recovery key has {_DIGITS} letters and digits from 2 to 7")
        key, check = data[:KEY_BYTES], data[KEY_BYTES:]
        if check != _check(key):
            raise NotARecoveryKey("its checksum does not fit: something in it was misread")
        return cls(key)

    @property
    def text(self) -> str:
        """Write it as base32 in groups of four, the last ones being a checksum."""
        digits = base64.b32encode(self.key + _check(self.key)).decode()
        return "-".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))

    def auth(self, account_id: UUID) -> bytes:
        """Derive what proves it to the server, which keeps the SHA-256 of this."""
        return self._derive("auth", account_id)

    def verifier(self, account_id: UUID) -> bytes:
        """Give what the server keeps to tell it by."""
        return sha256(self.auth(account_id))

    def seal(self, account_id: UUID, epoch: int, account_key: bytes) -> bytes:
        """Seal the account key under it."""
        return seal(self._derive("kek", account_id), aad.recovery(account_id, epoch), account_key)

    def open(self, account_id: UUID, epoch: int, sealed: bytes) -> bytes:
        """Open the account key.

        :raises SealBroken: it is another account's or epoch's, or damaged.
        """
        what = "the account key under the recovery key"
        bound = aad.recovery(account_id, epoch)
        return open_sealed(self._derive("kek", account_id), bound, sealed, what)

    def _derive(self, purpose: str, account_id: UUID) -> bytes:
        return hkdf(self.key, bytes(KEY_BYTES), lp(_LABEL, purpose, account_id), KEY_BYTES)


def _check(key: bytes) -> bytes:
    return sha256(_CHECK_LABEL + key)[:_CHECK_BYTES]
