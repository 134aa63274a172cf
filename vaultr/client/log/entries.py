"""The parts of a vault's log that need keys: item tags, the vouch, and signed entries."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from vaultr.client.crypto.primitives import hmac_sha256, sha256
from vaultr.protocol.encoding import b64, lp
from vaultr.protocol.entries import NO_ITEM, Entry

SUM_MODULUS: Final = 1 << 256
SUM_BYTES: Final = 32
_SHORT_DIGITS: Final = 12

ItemState = Literal["active", "trash"]


@dataclass(frozen=True, slots=True)
class Waypoint:
    """A position in a vault's history: revision, head and generation of the keys."""

    n: int
    head: bytes
    generation: int

    def __str__(self) -> str:
        return shown_place(self.n, self.head)


def shown_place(n: int, head: bytes) -> str:
    """Return a revision and its head in the form for messages."""
    return f"revision {n} ({short_head(head)})"


def short_head(head: bytes) -> str:
    """Return the first digits of a head, for people to compare between devices."""
    return head.hex()[:_SHORT_DIGITS]


def tag(
    lk: bytes, item_id: UUID | None, content_revision: int, content: bytes, state: ItemState
) -> int:
    """Return the term that one item adds to the sum; ``None`` means the vault's overview."""
    key = item_id or NO_ITEM
    part = lp("vaultr/v1/state-item", key.bytes, content_revision, content, state)
    return int.from_bytes(hmac_sha256(lk, part))


def vouch(lk: bytes, vault_id: UUID, n: int, total: int) -> bytes:
    """Return the MAC over the sum of all tags after revision ``n``."""
    summed = (total % SUM_MODULUS).to_bytes(SUM_BYTES)
    return hmac_sha256(lk, lp("vaultr/v1/state", vault_id, n, summed))


@dataclass(frozen=True, slots=True)
class SignedEntry:
    """An entry with its MAC, and the head of the log after it."""

    entry: Entry
    mac: bytes
    head: bytes

    @classmethod
    def make(cls, lk: bytes, entry: Entry) -> "SignedEntry":
        """Return ``entry`` with its MAC and head."""
        signed = entry.signed()
        mac = hmac_sha256(lk, signed)
        return cls(entry=entry, mac=mac, head=sha256(signed + mac))

    @property
    def waypoint(self) -> Waypoint:
        """The position in the history after this entry."""
        return Waypoint(self.entry.n, self.head, self.entry.generation)

    def to_json(self) -> dict[str, object]:
        """Return the members that a write sends; the server derives the others from the request."""
        return {
            "n": self.entry.n,
            "prev": b64(self.entry.prev),
            "vouch": b64(self.entry.vouch),
            "mac": b64(self.mac),
        }
