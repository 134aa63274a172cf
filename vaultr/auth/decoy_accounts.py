"""What prelogin answers for addresses that nobody has: the same for ever, and alike in form."""

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

# What version and variant leave of a random UUID's halves (RFC 9562, section 5.4).
_FIRST_FREE, _FIRST_SET = 0xFFFF_FFFF_FFFF_0FFF, 0x0000_0000_0000_4000
_LAST_FREE, _LAST_SET = 0x3FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000


@dataclass(frozen=True, slots=True)
class Invented:
    """Derivation inputs of no account."""

    account_id: UUID
    kdf: Kdf
    salt: bytes


def invented(email: str) -> Invented:
    """Invent the inputs of a normalised address from a key that this database keeps for ever.

    A newly released cost takes over its share of the addresses; the others keep theirs.
    """
    key = _key()
    first = int.from_bytes(_drawn(key, "id", email)[:8]) & _FIRST_FREE | _FIRST_SET
    account_id = UUID(int=first << 64 | _mark(key, first))
    kdf = max(RELEASED, key=lambda cost: _drawn(key, "kdf", email, canonical(cost)))
    return Invented(account_id, kdf, _drawn(key, "salt", email))


def is_invented(account_id: UUID) -> bool:
    """Tell whether an id was invented here, though for which address nobody can say.

    Signup treats such ids as used: otherwise a stranger would learn whether an address has an
    account by signing up elsewhere with the id that prelogin shows for it. A drawn id is taken
    for an invented one about once in 2^62.
    """
    first, last = account_id.int >> 64, account_id.int & 0xFFFF_FFFF_FFFF_FFFF
    return hmac.compare_digest(last.to_bytes(8), _mark(_key(), first).to_bytes(8))


def address_hash(email: str) -> str:
    """Name a normalised address where it must not stand itself, such as in a counter's key."""
    return _drawn(_key(), "address", email)[:16].hex()


def device_hash(device_id: UUID) -> bytes:
    """Name a device where its id must not stand; under this database's key it tells nothing."""
    return _drawn(_key(), "device", device_id)


def _mark(key: bytes, first: int) -> int:
    return int.from_bytes(_drawn(key, "mark", first)[:8]) & _LAST_FREE | _LAST_SET


def _drawn(key: bytes, purpose: str, *of: Part) -> bytes:
    return hmac.digest(key, lp("vaultr/prelogin", purpose, *of), hashlib.sha256)


def _key() -> bytes:
    return fact(_FACT, lambda: secrets.token_bytes(32))
