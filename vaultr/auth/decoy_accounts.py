"""Decoy accounts: stable fake prelogin responses for email addresses without an account."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from vaultr.database.session import fact
from vaultr.protocol.encoding import Part, lp
from vaultr.protocol.kdf import RELEASED, Kdf, canonical

_FACT: Final = "prelogin-key"

# The bits of a UUID's halves that version and variant leave random (RFC 9562, section 5.4).
_FIRST_FREE, _FIRST_SET = 0xFFFF_FFFF_FFFF_0FFF, 0x0000_0000_0000_4000
_LAST_FREE, _LAST_SET = 0x3FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000


@dataclass(frozen=True, slots=True)
class DecoyAccount:
    """Derivation inputs for an email address without an account."""

    account_id: UUID
    kdf: Kdf
    salt: bytes


def decoy_account(email: str) -> DecoyAccount:
    """Derive the decoy of a normalised address from a key stored in the database.

    The decoy never changes, except that some addresses get newly released KDF parameters.
    """
    key = _key()
    first = int.from_bytes(_derive(key, "id", email)[:8]) & _FIRST_FREE | _FIRST_SET
    account_id = UUID(int=first << 64 | _mark(key, first))
    kdf = max(RELEASED, key=lambda cost: _derive(key, "kdf", email, canonical(cost)))
    return DecoyAccount(account_id, kdf, _derive(key, "salt", email))


def is_decoy(account_id: UUID) -> bool:
    """Check whether an account id belongs to a decoy.

    Signup treats decoy ids as used. Otherwise anybody could find out whether an address has an
    account, by signing up with the id that prelogin returns for that address. A random id looks
    like a decoy about once in 2^62.
    """
    first, last = account_id.int >> 64, account_id.int & 0xFFFF_FFFF_FFFF_FFFF
    return hmac.compare_digest(last.to_bytes(8), _mark(_key(), first).to_bytes(8))


def address_hash(email: str) -> str:
    """Return the keyed hash of a normalised address, to store instead of the address."""
    return _derive(_key(), "address", email)[:16].hex()


def device_hash(device_id: UUID) -> bytes:
    """Return the keyed hash of a device id, so that the id itself is never stored."""
    return _derive(_key(), "device", device_id)


def _mark(key: bytes, first: int) -> int:
    return int.from_bytes(_derive(key, "mark", first)[:8]) & _LAST_FREE | _LAST_SET


def _derive(key: bytes, purpose: str, *of: Part) -> bytes:
    return hmac.digest(key, lp("vaultr/prelogin", purpose, *of), hashlib.sha256)


def _key() -> bytes:
    return fact(_FACT, lambda: secrets.token_bytes(32))
