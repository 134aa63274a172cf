"""Encode and hash log entries, which the client signs and the server appends."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from vaultr.protocol.encoding import lp

NO_ITEM: Final = UUID(int=0)
NOTHING: Final = bytes(32)
HASH_BYTES: Final = 32

_LOG: Final = "vaultr/v1/log"


class Op(StrEnum):
    """The operation of an entry."""

    PUT = "put"
    TRASH = "trash"
    RESTORE = "restore"
    REMOVE = "remove"
    RENAME = "rename"
    ROTATE_BEGIN = "rotate-begin"
    ROTATE_END = "rotate-end"
    REPAIR = "repair"


ITEM_OPS: Final = frozenset({Op.PUT, Op.TRASH, Op.RESTORE, Op.REMOVE})
CONTENT_OPS: Final = frozenset({Op.PUT, Op.TRASH, Op.RESTORE})


@dataclass(frozen=True, slots=True)
class Entry:
    """One write to one vault, as its author signed it.

    ``item_id`` is ``None`` for a write to the vault as a whole. ``content`` has 32 bytes
    (:data:`NOTHING` without content), like ``prev`` and ``vouch``. ``generation`` is the vault's
    generation after the write.
    """

    vault_id: UUID
    n: int
    prev: bytes
    op: Op
    item_id: UUID | None
    content_revision: int
    content: bytes
    generation: int
    author_id: UUID
    vouch: bytes

    def signed(self) -> bytes:
        """Return the bytes that the entry's MAC covers."""
        return lp(
            _LOG,
            self.vault_id,
            self.n,
            self.prev,
            str(self.op),
            self.item_id or NO_ITEM,
            self.content_revision,
            self.content,
            self.generation,
            self.author_id,
            self.vouch,
        )


def head_of(entry: Entry, mac: bytes) -> bytes:
    """Return the head of the log after ``entry``."""
    return hashlib.sha256(entry.signed() + mac).digest()


def first_head(vault_id: UUID) -> bytes:
    """Return head 0, which a vault has before its first write."""
    return hashlib.sha256(_LOG.encode() + b"\x00" + vault_id.bytes).digest()


def item_content(type: str, generation: int, overview: bytes, detail: bytes) -> bytes:
    """Return the content hash of an item, from its sealed parts and the values bound to them."""
    return content_of_hashes(
        type, generation, hashlib.sha256(overview).digest(), hashlib.sha256(detail).digest()
    )


def content_of_hashes(type: str, generation: int, overview: bytes, detail: bytes) -> bytes:
    """Return the content hash of an item, from the SHA-256 hashes of its sealed parts."""
    return hashlib.sha256(lp(type, generation, overview, detail)).digest()


def overview_content(overview: bytes) -> bytes:
    """Return the content hash of a vault's own sealed overview."""
    return hashlib.sha256(lp(overview)).digest()
