"""Decides what of a device's own copy is to be written again over a state accepted by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from vaultr.client.errors import SealBroken
from vaultr.client.log.state import Held
from vaultr.client.reconciliation.common_history import Lineage
from vaultr.client.vaults.write_intents import Ground, Move, RawPut, Wish
from vaultr.protocol.entries import Op

Content = tuple[str, tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Again:
    """What is written again for one item, in one batch.

    :ivar why: what the owner is told.
    :ivar size: its sealed bytes, about.
    """

    item_id: UUID
    why: str
    wishes: tuple[Wish, ...] = field(repr=False)
    size: int = 0


class Comparison:
    """Holds a device's own copy of one vault against the accepted state of the server.

    :param ours: the copy, with its own keys.
    :param theirs: the accepted state.
    :param removed: the ids that the server says were removed.
    """

    def __init__(
        self, ours: Ground, theirs: Ground, lineage: Lineage, removed: frozenset[UUID]
    ) -> None:
        self._ours = ours
        self._theirs = theirs
        self._lineage = lineage
        self._removed = removed

    def again(self) -> Iterator[Again]:
        """Give what the server lost, or has older than the device; nothing is lost of either."""
        for item_id, held in self._ours.state.items.items():
            there = self._theirs.state.items.get(item_id)
            if there == held:
                continue
            found = self._of(item_id, held, there)
            if found is not None:
                yield found

    def renamed(self) -> bool:
        """Tell whether the vault's name is to be written again; else the server's stays."""
        ours, theirs = self._ours.state.overview, self._theirs.state.overview
        if ours.content == theirs.content:
            return False
        entry = self._lineage.entries.get(ours.revision)
        is_theirs = entry is not None and (entry.op, entry.content) == (Op.RENAME, ours.content)
        if is_theirs or ours.revision <= self._lineage.shared_to:
            # Known there: what came after it stays, and what the log left behind does not.
            return theirs.revision <= ours.revision
        return theirs.revision < self._lineage.parts_at  # else it was renamed there since

    def _of(self, item_id: UUID, held: Held, there: Held | None) -> Again | None:
        # A set may be older than the log beside it, where no entry vouches for it.
        behind = self._is_behind(item_id, held, there)
        same = there is not None and (there.content_revision, there.content) == (
            held.content_revision,
            held.content,
        )
        if not same and (behind or not self._lineage.knows_content(item_id, held)):
            return self._lost_content(item_id, held, there)
        if not same or (self._lineage.knows_state(item_id, held) and not behind):
            return None  # the server knows it all, and has what came after
        return self._moved(item_id, held, there)

    def _is_behind(self, item_id: UUID, held: Held, there: Held | None) -> bool:
        if there is None:
            return not self._lineage.removed(item_id)
        # Under whatever revision the server shows it: where no entry vouches, that is its word.
        older = min(there.revision - held.revision, there.content_revision - held.content_revision)
        return older < 0 or self._lineage.denies(item_id, there)

    def _moved(self, item_id: UUID, held: Held, there: Held | None) -> Again | None:
        """Trash or restore again what has the same content on both sides."""
        if there is None or there.state == held.state:
            return None
        op = Op.TRASH if held.state == "trash" else Op.RESTORE
        why = "trashed here" if op is Op.TRASH else "restored here"
        return Again(item_id, why, (Move(op, item_id, seen=there.content_revision),))

    def _lost_content(self, item_id: UUID, held: Held, there: Held | None) -> Again | None:
        if there is None:
            if item_id in self._removed:
                return self._put(uuid4(), held, None, "removed there", of=item_id)
            return self._put(item_id, held, None, "the server lost it")
        theirs = self._opened_there(item_id, there)
        is_newer = there.revision >= self._lineage.parts_at
        if theirs == self._content(item_id, held):
            return None if is_newer else self._moved(item_id, held, there)
        if theirs is None or there.content_revision < self._lineage.parts_at:
            return self._put(item_id, held, there, "newer here")
        return self._both(item_id, held, there, theirs)

    def _opened_there(self, item_id: UUID, there: Held) -> Content | None:
        try:
            return there.type, self._theirs.opened(item_id)
        except SealBroken:  # only where no entry vouched for it
            return None

    def _content(self, item_id: UUID, held: Held) -> Content:
        return held.type, self._ours.opened(item_id)

    def _put(
        self, item_id: UUID, held: Held, there: Held | None, why: str, *, of: UUID | None = None
    ) -> Again:
        """Write what is held over what is there, in the state that it has here."""
        content = self._content(of or item_id, held)
        wishes = self._over(item_id, there, [content], trashed=held.state == "trash")
        return Again(of or item_id, why, wishes, _size(content))

    def _both(self, item_id: UUID, held: Held, there: Held, theirs: Content) -> Again:
        """Keep both: what is held becomes a version, what the server has stays on top of it."""
        ours = self._content(item_id, held)
        trashed = there.state == "trash"
        wishes = self._over(item_id, there, [ours, theirs], trashed=trashed)
        why = "changed on both sides: the server's stays, this device's is a version"
        return Again(item_id, why, wishes, _size(ours) + _size(theirs))

    def _over(
        self, item_id: UUID, there: Held | None, contents: list[Content], *, trashed: bool
    ) -> tuple[Wish, ...]:
        seen = there.content_revision if there is not None else None
        wishes: list[Wish] = []
        if there is not None and there.state == "trash":
            wishes.append(Move(Op.RESTORE, item_id, seen=there.content_revision))
        wishes += [RawPut(item_id, kind, parts, seen=seen) for kind, parts in contents]
        if trashed:
            wishes.append(Move(Op.TRASH, item_id, seen=seen))
        return tuple(wishes)


def _size(content: Content) -> int:
    return sum(map(len, content[1])) * 2
