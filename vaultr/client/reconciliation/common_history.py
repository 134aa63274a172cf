"""Compare this device's history of a vault with the history that a server shows.

After a server was restored from a backup, both histories have the same beginning and may have
diverged since. The hashes in the server's log link every entry to its head, so the server cannot
omit or replace one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final
from uuid import UUID

from vaultr.client.crypto.keys import Keys
from vaultr.client.errors import AnswerInvalid, ChainBroken, IntegrityError, NotFound
from vaultr.client.log.chain import check_mac
from vaultr.client.log.entries import SignedEntry
from vaultr.client.log.pages import Shown, read_entry
from vaultr.client.log.state import Held, Overview
from vaultr.client.storage.cache import CachedVault
from vaultr.client.strict_json import Fields
from vaultr.client.vaults.vault_list import Sender
from vaultr.protocol.entries import Entry, Op

_STATE_AFTER: Final[Mapping[Op, str]] = {
    Op.PUT: "active",
    Op.RESTORE: "active",
    Op.TRASH: "trash",
}


@dataclass(frozen=True, slots=True)
class CommonHistory:
    """A server's log from some revision on, with the entries signed with the owner's keys.

    :ivar heads: the head after each entry, and before the first.
    :ivar shared_to: the last revision that both histories are known to share, or 0.
    :ivar diverges_at: the first revision at which the histories are known to differ.
    """

    entries: Mapping[int, Entry] = field(repr=False)
    heads: Mapping[int, bytes] = field(repr=False)
    shared_to: int
    diverges_at: int

    def knows_content(self, item_id: UUID, held: Held) -> bool:
        """Check whether the server's history contains the put of the held content."""
        return held.content_revision <= self.shared_to or self._has_put(item_id, held)

    def knows_state(self, item_id: UUID, held: Held) -> bool:
        """Check whether the server's history contains the entry of the held state."""
        return held.revision <= self.shared_to or self._has_state(item_id, held)

    def denies(self, item_id: UUID, shown: Held) -> bool:
        """Check whether the log contradicts the content or state that the server shows.

        This is possible only for a set that no entry commits to.
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

    def divergences(self, ours: CachedVault) -> Iterator[int]:
        """Yield the revisions at which the two histories differ."""
        for n, head in ours.trail.items():
            if self.heads.get(n, head) != head:
                yield n
        for item_id, held in ours.state.items.items():
            if held.content_revision in self.entries and not self._has_put(item_id, held):
                yield held.content_revision
            if held.revision in self.entries and not self._has_state(item_id, held):
                yield held.revision

    def gives(self, item_id: UUID, shown: Held) -> bool:
        """Check whether signed entries led to this content and state of an item."""
        return self._has_put(item_id, shown) and self._has_state(item_id, shown)

    def gives_name(self, shown: Overview) -> bool:
        """Check whether a signed entry set this name of the vault, or it is the first name."""
        entry = self.entries.get(shown.revision)
        return shown.revision == 0 or (
            entry is not None and (entry.op, entry.content) == (Op.RENAME, shown.content)
        )

    def last_change(self, item_id: UUID) -> int:
        """Return the revision of the last signed entry about an item, or 0."""
        return max((n for n, entry in self.entries.items() if entry.item_id == item_id), default=0)

    def removed(self, item_id: UUID) -> bool:
        """Check whether the server's history has a removal of the item."""
        wanted = (Op.REMOVE, item_id)
        return any((entry.op, entry.item_id) == wanted for entry in self.entries.values())

    def is_shared(self, n: int) -> bool:
        """Check whether the server's revision ``n`` is also in the device's history."""
        return n < self.diverges_at


def read_common_history(
    ours: CachedVault,
    last: SignedEntry | None,
    keys: Keys,
    *,
    since: Callable[[int], Shown],
    first: Callable[[UUID], SignedEntry | None],
) -> CommonHistory:
    """Read as much of the server's log as the comparison needs.

    :param last: the server's last entry; None for a vault without entries.
    :param since: fetches the entries after a revision (at least 1).
    :param first: fetches entry 1, which no delta returns, as the put of an item, or returns None.
    :raises ChainBroken: the entries do not lead to the server's head.
    """
    end = last.entry.n if last is not None else 0
    if last is None:
        return CommonHistory({}, {}, 0, 1)
    near = [n for n in ours.trail if 1 < n <= end]
    found = _read(ours, last, keys, since(max(1, min(near) - 1)).entries if near else [last])
    if found.shared_to:
        return found
    # No common head is known, so only the items' own revisions can be compared.
    signed = since(1).entries if end > 1 else [last]
    one = _first_put(ours, first) if end > 1 else None
    if one is not None and signed and one.head == signed[0].entry.prev:
        signed = [one, *signed]
    return _read(ours, last, keys, signed)


def read_whole_log(
    vault: CachedVault,
    last: SignedEntry,
    keys: Keys,
    *,
    since: Callable[[int], Shown],
    first: Callable[[UUID], SignedEntry | None],
) -> CommonHistory:
    """Read the server's whole log; ``vault`` is its set. See :func:`read_common_history`."""
    if last.entry.n == 1:
        return _read(vault, last, keys, [last])
    signed: Sequence[SignedEntry] = since(1).entries
    one = _first_put(vault, first)
    if one is not None and signed and one.head == signed[0].entry.prev:
        signed = [one, *signed]
    return _read(vault, last, keys, signed)


def first_entry(session: Sender, vault_id: UUID, item_id: UUID) -> SignedEntry | None:
    """Fetch entry 1 of a vault's log as the put of an item; None if it is not that."""
    try:
        answer = session.send("GET", f"/vaults/{vault_id}/items/{item_id}/versions/1")
        entry = Fields(answer.body, "version", AnswerInvalid).within("entry")
        return read_entry(vault_id, entry)
    except (NotFound, IntegrityError):
        return None


def _first_put(
    ours: CachedVault, first: Callable[[UUID], SignedEntry | None]
) -> SignedEntry | None:
    for item_id, held in ours.state.items.items():
        if held.content_revision == 1:
            return first(item_id)
    return None


def _read(
    ours: CachedVault, last: SignedEntry, keys: Keys, signed: Sequence[SignedEntry]
) -> CommonHistory:
    for before, after in pairwise(signed):
        if after.entry.prev != before.head or after.entry.n != before.entry.n + 1:
            raise ChainBroken(
                f"The server's log of changes has a gap: entry {after.entry.n} does not follow the "
                "one before it."
            )
    if signed and signed[-1].head != last.head:
        raise ChainBroken(
            "The server contradicts itself: its log of changes leads to another state than it "
            "shows."
        )
    heads = {each.entry.n: each.head for each in signed}
    if signed:
        heads[signed[0].entry.n - 1] = signed[0].entry.prev
    entries = {each.entry.n: each.entry for each in signed if _is_signed(each, keys)}
    shared = max((n for n, head in ours.trail.items() if heads.get(n) == head), default=0)
    known = CommonHistory(entries, heads, shared, 0)
    apart = [n for n in known.divergences(ours) if n > shared]
    return CommonHistory(entries, heads, shared, min([last.entry.n + 1, *apart]))


def _is_signed(signed: SignedEntry, keys: Keys) -> bool:
    try:
        check_mac(signed, keys)
    except IntegrityError:
        return False
    return True
