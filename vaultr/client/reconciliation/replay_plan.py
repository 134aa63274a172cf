"""Decide which items of a device's copy to write again after accepting a state."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from vaultr.client.errors import SealBroken
from vaultr.client.log.state import Held
from vaultr.client.reconciliation.common_history import CommonHistory
from vaultr.client.vaults.write_intents import Move, OpenVault, PlannedChange, RawPut
from vaultr.protocol.entries import Op

Content = tuple[str, tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Replayed:
    """The changes that write one item again, in one batch.

    :ivar why: the reason, for the owner.
    :ivar size: its sealed bytes, approximately.
    """

    item_id: UUID
    why: str
    planned: tuple[PlannedChange, ...] = field(repr=False)
    size: int = 0


class Comparison:
    """Compares a device's copy of one vault with the accepted state of the server.

    :param ours: the device's copy, with its own keys.
    :param theirs: the accepted state.
    :param removed: the ids of items that were removed according to the server.
    """

    def __init__(
        self, ours: OpenVault, theirs: OpenVault, history: CommonHistory, removed: frozenset[UUID]
    ) -> None:
        self._ours = ours
        self._theirs = theirs
        self._history = history
        self._removed = removed

    def again(self) -> Iterator[Replayed]:
        """Yield the items that the server lost or has in an older state; no content is lost."""
        for item_id, held in self._ours.state.items.items():
            there = self._theirs.state.items.get(item_id)
            if there == held:
                continue
            found = self._of(item_id, held, there)
            if found is not None:
                yield found

    def renamed(self) -> bool:
        """Check whether to write the vault's name again; otherwise the server's name stays."""
        ours, theirs = self._ours.state.overview, self._theirs.state.overview
        if ours.content == theirs.content:
            return False
        entry = self._history.entries.get(ours.revision)
        is_theirs = entry is not None and (entry.op, entry.content) == (Op.RENAME, ours.content)
        if is_theirs or ours.revision <= self._history.shared_to:
            # The server knows our name: a later name stays, an earlier one is overwritten.
            return theirs.revision <= ours.revision
        return self._history.is_shared(theirs.revision)  # otherwise it was renamed there later

    def _of(self, item_id: UUID, held: Held, there: Held | None) -> Replayed | None:
        # A set that no entry commits to may be older than the log.
        behind = self._is_behind(item_id, held, there)
        same = there is not None and (there.content_revision, there.content) == (
            held.content_revision,
            held.content,
        )
        if not same and (behind or not self._history.knows_content(item_id, held)):
            return self._lost_content(item_id, held, there)
        if not same or (self._history.knows_state(item_id, held) and not behind):
            return None  # the server has it, or something newer
        return self._moved(item_id, held, there)

    def _is_behind(self, item_id: UUID, held: Held, there: Held | None) -> bool:
        if there is None:
            return not self._history.removed(item_id)
        # If no entry commits to the set, its revisions are only the server's claim.
        older = min(there.revision - held.revision, there.content_revision - held.content_revision)
        return older < 0 or self._history.denies(item_id, there)

    def _moved(self, item_id: UUID, held: Held, there: Held | None) -> Replayed | None:
        """Trash or restore an item again whose content is the same on both sides."""
        if there is None or there.state == held.state:
            return None
        op = Op.TRASH if held.state == "trash" else Op.RESTORE
        why = "moved to the trash on this device" if op is Op.TRASH else "restored on this device"
        return Replayed(item_id, why, (Move(op, item_id, seen=there.content_revision),))

    def _lost_content(self, item_id: UUID, held: Held, there: Held | None) -> Replayed | None:
        if there is None:
            if item_id in self._removed:
                return self._put(uuid4(), held, None, "removed on the server", of=item_id)
            return self._put(item_id, held, None, "the server lost it")
        theirs = self._opened_there(item_id, there)
        is_newer = not self._history.is_shared(there.revision)
        if theirs == self._content(item_id, held):
            return None if is_newer else self._moved(item_id, held, there)
        if theirs is None or self._history.is_shared(there.content_revision):
            return self._put(item_id, held, there, "newer on this device")
        return self._both(item_id, held, there, theirs)

    def _opened_there(self, item_id: UUID, there: Held) -> Content | None:
        try:
            return there.type, self._theirs.opened(item_id)
        except SealBroken:  # only possible if no entry committed to it
            return None

    def _content(self, item_id: UUID, held: Held) -> Content:
        return held.type, self._ours.opened(item_id)

    def _put(
        self, item_id: UUID, held: Held, there: Held | None, why: str, *, of: UUID | None = None
    ) -> Replayed:
        """Write the held content over the server's, with the state that it has on this device."""
        content = self._content(of or item_id, held)
        planned = self._over(item_id, there, [content], trashed=held.state == "trash")
        return Replayed(of or item_id, why, planned, _size(content))

    def _both(self, item_id: UUID, held: Held, there: Held, theirs: Content) -> Replayed:
        """Keep both: the held content becomes a version, the server's content stays current."""
        ours = self._content(item_id, held)
        trashed = there.state == "trash"
        planned = self._over(item_id, there, [ours, theirs], trashed=trashed)
        why = "changed on both sides: the server's content stays, this device's is now a version"
        return Replayed(item_id, why, planned, _size(ours) + _size(theirs))

    def _over(
        self, item_id: UUID, there: Held | None, contents: list[Content], *, trashed: bool
    ) -> tuple[PlannedChange, ...]:
        seen = there.content_revision if there is not None else None
        planned: list[PlannedChange] = []
        if there is not None and there.state == "trash":
            planned.append(Move(Op.RESTORE, item_id, seen=there.content_revision))
        planned += [RawPut(item_id, kind, parts, seen=seen) for kind, parts in contents]
        if trashed:
            planned.append(Move(Op.TRASH, item_id, seen=seen))
        return tuple(planned)


def _size(content: Content) -> int:
    return sum(map(len, content[1])) * 2
