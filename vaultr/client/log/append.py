"""Prepare writes to a vault: the entries to send, and the resulting state."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from vaultr.client.crypto.keys import Keys, lk_of
from vaultr.client.errors import Refused, error_from_problem
from vaultr.client.log.entries import SUM_MODULUS, ItemState, SignedEntry, vouch
from vaultr.client.log.state import (
    Held,
    Overview,
    VaultState,
    item_tag,
    overview_tag,
    total_of,
)
from vaultr.protocol.entries import (
    NOTHING,
    Entry,
    Op,
    item_content,
    overview_content,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change to a vault. The i-th change of a batch becomes revision ``state.n + 1 + i``.

    Sealed parts must be bound to that revision and to the vault's current generation.
    """

    op: Op
    item_id: UUID | None = None
    type: str = ""
    overview: bytes = field(default=b"", repr=False)
    detail: bytes = field(default=b"", repr=False)

    @classmethod
    def put(cls, item_id: UUID, type: str, overview: bytes, detail: bytes) -> "Change":
        """Create or replace an item with its two sealed parts."""
        return cls(Op.PUT, item_id, type, overview, detail)

    @classmethod
    def trash(cls, item_id: UUID) -> "Change":
        """Move an item to the trash."""
        return cls(Op.TRASH, item_id)

    @classmethod
    def restore(cls, item_id: UUID) -> "Change":
        """Move an item out of the trash."""
        return cls(Op.RESTORE, item_id)

    @classmethod
    def remove(cls, item_id: UUID) -> "Change":
        """Remove an item permanently."""
        return cls(Op.REMOVE, item_id)

    @classmethod
    def rename(cls, overview: bytes) -> "Change":
        """Replace the vault's own sealed overview."""
        return cls(Op.RENAME, overview=overview)

    @classmethod
    def repair(cls) -> "Change":
        """Change nothing, and commit to the current set."""
        return cls(Op.REPAIR)

    @classmethod
    def rotate_begin(cls) -> "Change":
        """Begin a new generation of keys."""
        return cls(Op.ROTATE_BEGIN)

    @classmethod
    def rotate_end(cls) -> "Change":
        """End a rotation after all items were moved."""
        return cls(Op.ROTATE_END)


@dataclass(frozen=True, slots=True)
class Write:
    """One prepared write: its signed entry, and the resulting item."""

    signed: SignedEntry
    held: Held | None

    @property
    def item_id(self) -> UUID | None:
        """The item that the write changes, or None."""
        return self.signed.entry.item_id

    @property
    def revision(self) -> int:
        """The revision of the write."""
        return self.signed.entry.n

    @property
    def head(self) -> bytes:
        """The head of the vault after the write."""
        return self.signed.head

    def entry_json(self) -> dict[str, Any]:
        """Return the entry as a request carries it: n, prev, vouch and mac."""
        return self.signed.to_json()

    def item_json(self) -> dict[str, Any]:
        """Return the members that the response to a write of one item must contain."""
        expected: dict[str, Any] = {"id": str(self.item_id), "revision": self.revision}
        if self.held is None:
            return expected | {"state": "removed"}
        return expected | {
            "content_revision": self.held.content_revision,
            "generation": self.held.generation,
            "state": self.held.state,
        }


@dataclass(frozen=True, slots=True)
class Batch:
    """Prepared writes in order, and the state after all of them.

    Do not use ``state`` until the response is checked.
    """

    writes: tuple[Write, ...]
    state: VaultState

    @property
    def last(self) -> Write:
        """The write whose head the vault has after the batch."""
        return self.writes[-1]


def prepare(
    state: VaultState,
    changes: Iterable[Change],
    *,
    keys: Keys,
    author_id: UUID,
    unvouched: Collection[UUID] = (),
) -> Batch:
    """Prepare writes on top of ``state``, without sending them or changing ``state``.

    :param unvouched: items of ``state`` that no entry may commit to until a change puts them.

    :raises Refused: the server would reject a change, because its item does not exist or is in the
        wrong state.
    """
    draft = _Draft(state, keys, author_id, unvouched)
    writes = tuple(draft.write(change) for change in changes)
    return Batch(writes=writes, state=draft.state())


class _Draft:
    """The state during a batch: one copy of the items for all changes."""

    def __init__(
        self, state: VaultState, keys: Keys, author_id: UUID, unvouched: Collection[UUID]
    ) -> None:
        self._begun = state
        self._keys = keys
        self._author_id = author_id
        self._here = state.waypoint
        self._items = dict(state.items)
        self._overview = state.overview
        self._total = state.total
        self._lk = lk_of(keys, state.generation, state.vault_id)
        self._unvouched = set(unvouched)
        for item_id in unvouched:
            self._total -= item_tag(self._lk, item_id, state.items[item_id])

    def state(self) -> VaultState:
        return replace(
            self._begun,
            n=self._here.n,
            head=self._here.head,
            generation=self._here.generation,
            overview=self._overview,
            total=self._total % SUM_MODULUS,
            items=self._items,
        )

    def write(self, change: Change) -> Write:
        n = self._here.n + 1
        content_revision, content, held = 0, NOTHING, None
        if change.item_id is not None:
            held = self._held_after(change, change.item_id, n)
            self._set_item(change.op, change.item_id, held)
            if held is not None:
                content_revision, content = held.content_revision, held.content
        elif change.op is Op.RENAME:
            content_revision, content = n, overview_content(change.overview)
            self._rename(Overview(n, self._here.generation, content))
        elif change.op is Op.ROTATE_BEGIN:
            self._rotate()
        return Write(self._sign(change, n, content_revision, content), held)

    def _sign(self, change: Change, n: int, content_revision: int, content: bytes) -> SignedEntry:
        vault_id = self._begun.vault_id
        entry = Entry(
            vault_id=vault_id,
            n=n,
            prev=self._here.head,
            op=change.op,
            item_id=change.item_id,
            content_revision=content_revision,
            content=content,
            generation=self._here.generation,
            author_id=self._author_id,
            vouch=vouch(self._lk, vault_id, n, self._total),
        )
        signed = SignedEntry.make(self._lk, entry)
        self._here = signed.waypoint
        return signed

    def _held_after(self, change: Change, item_id: UUID, n: int) -> Held | None:
        held = self._items.get(item_id)
        if change.op is Op.PUT:
            if held is not None and held.state == "trash":
                raise _rejected("in-trash", 409, f"Item {item_id} is in the trash.")
            return self._put(change, n)
        if held is None:
            raise _rejected("item-not-found", 404, f"No item has the id {item_id}.")
        if change.op is Op.REMOVE:
            return None
        moved: ItemState = "trash" if change.op is Op.TRASH else "active"
        if held.state == moved:
            slug = "in-trash" if moved == "trash" else "conflict"
            raise _rejected(
                slug,
                409,
                f"Item {item_id} is already {'in the trash' if moved == 'trash' else 'active'}.",
            )
        return replace(held, revision=n, state=moved)

    def _put(self, change: Change, n: int) -> Held:
        generation = self._here.generation
        return Held(
            revision=n,
            content_revision=n,
            generation=generation,
            type=change.type,
            content=item_content(change.type, generation, change.overview, change.detail),
            state="active",
        )

    def _set_item(self, op: Op, item_id: UUID, held: Held | None) -> None:
        before = self._items.pop(item_id, None)
        if before is not None and item_id not in self._unvouched:
            self._total -= item_tag(self._lk, item_id, before)
        if op in (Op.PUT, Op.REMOVE):
            self._unvouched.discard(item_id)
        if held is not None:
            self._items[item_id] = held
            if item_id not in self._unvouched:
                self._total += item_tag(self._lk, item_id, held)

    def _rename(self, overview: Overview) -> None:
        self._total -= overview_tag(self._lk, self._overview)
        self._total += overview_tag(self._lk, overview)
        self._overview = overview

    def _rotate(self) -> None:
        generation = self._here.generation + 1
        self._here = replace(self._here, generation=generation)
        self._lk = lk_of(self._keys, generation, self._begun.vault_id)
        vouched = {each: one for each, one in self._items.items() if each not in self._unvouched}
        self._total = total_of(self._lk, vouched, self._overview)


def _rejected(slug: str, status: int, detail: str) -> Refused:
    return error_from_problem(slug, status, {"detail": detail})
