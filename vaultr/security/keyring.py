"""The server's keyrings: the first key signs and seals, all keys verify and open."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.settings.model import Settings
from vaultr.settings.types import Keys

_NONCE_BYTES = 12
_KEY_BYTES = 32


class CannotOpen(Exception):
    """A sealed value cannot be opened: it was changed, or its key is missing here."""


class KeyMissing(CannotOpen):
    """A value is sealed under a key that this server does not have, or not yet."""


@dataclass(slots=True)
class Resealed:
    """How many values were resealed under the first key, and how many could not be opened."""

    done: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one purpose."""

    keys: Keys

    @property
    def current_id(self) -> str:
        """Return the id of the key that signs and seals."""
        return next(iter(self.keys.by_id))

    @property
    def current(self) -> bytes:
        """Return the key that signs and seals."""
        return self.keys.by_id[self.current_id]

    def find(self, key_id: str) -> bytes | None:
        """Return the key with this id, or None."""
        return self.keys.by_id.get(key_id)

    def derived(self, purpose: str) -> bytes:
        """Derive a 32-byte key for one purpose from the current key (HMAC-SHA-256)."""
        return self.all_derived(purpose)[0]

    def all_derived(self, purpose: str) -> list[bytes]:
        """Derive a key for one purpose from each key, the current one first."""
        return [
            hmac.digest(key, purpose.encode(), hashlib.sha256) for key in self.keys.by_id.values()
        ]

    def seal(self, purpose: str, plaintext: bytes) -> bytes:
        """Seal under the current key: id length, id, nonce, AES-256-GCM with ``purpose`` bound."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = _cipher(self.current).encrypt(nonce, plaintext, purpose.encode())
        return self.prefix_of(self.current_id) + nonce + sealed

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Open a value that `seal` returned, with the key whose id the value contains.

        :raises KeyMissing: this server has no key with that id.
        :raises CannotOpen: the value was changed or moved.
        """
        key = self.find(self.key_id_of(sealed))
        if key is None:
            raise KeyMissing("no key with this id")
        rest = sealed[1 + sealed[0] :]
        try:
            return _cipher(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            raise CannotOpen("the value was changed") from None

    @staticmethod
    def prefix_of(key_id: str) -> bytes:
        """Return the prefix of all values that are sealed under a key."""
        return bytes([len(key_id)]) + key_id.encode()

    @staticmethod
    def key_id_of(sealed: bytes) -> str:
        """Return the id of the key under which a value is sealed."""
        return sealed[1 : 1 + sealed[0]].decode("ascii", "replace") if sealed else ""


def _cipher(key: bytes) -> AESGCM:
    """Return the cipher; a key of another length is hashed first."""
    return AESGCM(key if len(key) == _KEY_BYTES else hashlib.sha256(key).digest())


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """All keyrings of this server."""

    jwt: KeyRing
    pepper: KeyRing
    factor: KeyRing
    mail: KeyRing
    audit: KeyRing


# The attribute for each setting.
RINGS: Final[dict[str, str]] = {
    "JWT_SECRET": "jwt",  # nosec B105 - names of attributes
    "PEPPER": "pepper",
    "FACTOR_KEY": "factor",
    "MAIL_KEY": "mail",
    "AUDIT_KEY": "audit",
}


KEYS: Final = AppSlot[ServerKeys]("security.keyring")


def init_app(app: Flask, settings: Settings) -> None:
    """Load the keys; a second call replaces them."""
    rings = {ring: KeyRing(getattr(settings, name.lower())) for name, ring in RINGS.items()}
    KEYS.set(app, ServerKeys(**rings))


def current() -> ServerKeys:
    """Return the keyrings of the running server."""
    return KEYS.get()
