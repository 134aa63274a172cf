"""Tells what of a device's own history is in the history that a server shows.

After a server was restored from a backup the two have a beginning in common, and may both have
gone on from there. The server's log says, entry by entry, what it knows; it is linked by hashes to
its head, so that no entry of it can be left out or exchanged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from uuid import UUID

from vaultr.client.errors import ChainBroken, IntegrityError
from vaultr.client.log.chain import Keys, check_mac
from vaultr.client.log.entries import SignedEntry
from vaultr.client.log.pages import Shown
from vaultr.client.log.state import Held
from vaultr.client.storage.cache import CachedVault
from vaultr.protocol.entries import Entry, Op

_STATE_AFTER: Final[Mapping[Op, str]] = {
    Op.PUT: "active",
    Op.RESTORE: "active",
    Op.TRASH: "trash",
}


@dataclass(frozen=True, slots=True)
class Lineage:
    """The entries of a server's log from some revision on, as far as the owner's keys signed them.

    :ivar heads: the head after each entry, and before the first.
    :ivar shared_to: up to where the device's own history is known to be the server's; 0 where
        nothing is known.
    :ivar parts_at: the first revision at which the device's own history is known to be another.
    """

    entries: Mapping[int, Entry] = field(repr=False)
    heads: Mapping[int, bytes] = field(repr=False)
    shared_to: int
    parts_at: int

    def knows_content(self, item_id: UUID, held: Held) -> bool:
        """Tell whether the server's history has the put that brought what is held."""
        return held.content_revision <= self.shared_to or self._has_put(item_id, held)

    def knows_state(self, item_id: UUID, held: Held) -> bool:
        """Tell whether the server's history has the entry that brought the held state."""
        return held.revision <= self.shared_to or self._has_state(item_id, held)

    def denies(self, item_id: UUID, shown: Held) -> bool:
        """Tell whether the log has another entry where that of a shown content or state must be.

        A set can be so only where no entry vouches for it.
        """
        put, moved = shown.content_revision in self.entries, shown.revision in self.entries
        return (put and not self._has_put(item_id, shown)) or (
            moved and not self._has_state(item_id, shown)
        )

    def _has_put(self, item_id: UUID, held: Held) -> bool:
        entry = self.entries.get(held.content_revision)
        return (
            entry is not None
            and (entry.op, entry.item_id) == (Op.PUT, item_id)
            and entry.content == held.content
        )

    def _has_state(self, item_id: UUID, held: Held) -> bool:
        entry = self.entries.get(held.revision)
        return (
            entry is not None
            and entry.item_id == item_id
            and _STATE_AFTER.get(entry.op) == held.state
            and entry.content == held.content
        )

    def partings(self, ours: CachedVault) -> Iterator[int]:
        """Give the revisions at which the server has another entry than the device's history."""
        for n, head in ours.trail.items():
            if self.heads.get(n, head) != head:
                yield n
        for item_id, held in ours.state.items.items():
            if held.content_revision in self.entries and not self._has_put(item_id, held):
                yield held.content_revision
            if held.revision in self.entries and not self._has_state(item_id, held):
                yield held.revision

    def removed(self, item_id: UUID) -> bool:
        """Tell whether the server's history has a removal of the item."""
        wanted = (Op.REMOVE, item_id)
        return any((entry.op, entry.item_id) == wanted for entry in self.entries.values())

    def is_shared(self, n: int) -> bool:
        """Tell whether revision ``n`` of the server is one that the device's history has, too."""
        return n < self.parts_at


def read_lineage(
    ours: CachedVault,
    last: SignedEntry | None,
    keys: Keys,
    *,
    since: Callable[[int], Shown],
    first: Callable[[UUID], SignedEntry | None],
) -> Lineage:
    """Read as much of the server's log as is needed to judge what is held.

    :param last: the server's last entry; None for a vault that nobody wrote to.
    :param since: fetches the entries after a revision, which is at least 1.
    :param first: fetches entry 1, which no delta shows, as the put of an item; None where it is
        not that.
    :raises ChainBroken: the entries do not lead to the server's head.
    """
    end = last.entry.n if last is not None else 0
    if last is None:
        return Lineage({}, {}, 0, 1)
    near = [n for n in ours.trail if 1 < n <= end]
    found = _read(ours, last, keys, since(max(1, min(near) - 1)).entries if near else [last])
    if found.shared_to:
        return found
    # Nothing in common is known: what each item tells of its own revisions is all there is.
    signed = since(1).entries if end > 1 else [last]
    one = _first_put(ours, first) if end > 1 else None
    if one is not None and signed and one.head == signed[0].entry.prev:
        signed = [one, *signed]
    return _read(ours, last, keys, signed)


def _first_put(
    ours: CachedVault, first: Callable[[UUID], SignedEntry | None]
) -> SignedEntry | None:
    for item_id, held in ours.state.items.items():
        if held.content_revision == 1:
            return first(item_id)
    return None


def _read(
    ours: CachedVault, last: SignedEntry, keys: Keys, signed: Sequence[SignedEntry]
) -> Lineage:
    for before, after in pairwise(signed):
        if after.entry.prev != before.head or after.entry.n != before.entry.n + 1:
            raise ChainBroken(f"entry {after.entry.n} does not follow in the server's log")
    if signed and signed[-1].head != last.head:
        raise ChainBroken("the server's log leads to another head than it shows")
    heads = {each.entry.n: each.head for each in signed}
    if signed:
        heads[signed[0].entry.n - 1] = signed[0].entry.prev
    entries = {each.entry.n: each.entry for each in signed if _is_signed(each, keys)}
    shared = max((n for n, head in ours.trail.items() if heads.get(n) == head), default=0)
    known = Lineage(entries, heads, shared, 0)
    apart = [n for n in known.partings(ours) if n > shared]
    return Lineage(entries, heads, shared, min([last.entry.n + 1, *apart]))


def _is_signed(signed: SignedEntry, keys: Keys) -> bool:
    try:
        check_mac(signed, keys)
    except IntegrityError:
        return False
    return True
