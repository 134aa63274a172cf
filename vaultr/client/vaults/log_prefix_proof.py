"""The log of a vault before what is held: proven by the hashes that lead to the held head."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.errors import ChainBroken, HeadMoved
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.sync import Syncer
from vaultr.protocol.entries import Entry, Op


@dataclass(frozen=True, slots=True)
class Past:
    """The log from one revision to the held one.

    :ivar heads: the head at each revision, the first one included.
    :ivar entries: the entries after the first revision.
    """

    heads: Mapping[int, bytes] = field(repr=False)
    entries: Mapping[int, Entry] = field(repr=False)

    def has_put(self, item_id: UUID, *, after: int, through: int) -> bool:
        """Tell whether the item got a content after one revision, and up to another."""
        between = (self.entries.get(n) for n in range(after + 1, through + 1))
        return any(each and (each.op, each.item_id) == (Op.PUT, item_id) for each in between)


def read_past(syncer: Syncer, vault: CachedVault, since: int) -> Past:
    """Fetch the log after ``since``, which is at least 1; all that changed since comes with it.

    No MAC has to be checked: whoever signed the held head signed all that it follows from.

    :raises ChainBroken: the server's log does not lead to what is held.
    """
    try:
        signed = syncer.show_since(vault.id, since).entries
    except HeadMoved:  # it has less than that
        signed = []
    heads = {since: signed[0].entry.prev} if signed else {}
    entries = {}
    for each in signed[: vault.state.n - since]:
        if heads[each.entry.n - 1] != each.entry.prev:
            break
        entries[each.entry.n], heads[each.entry.n] = each.entry, each.head
    if heads.get(vault.state.n) != vault.state.head:
        raise ChainBroken(
            f"the server's log of vault {vault.id} does not lead to what is held, {vault.waypoint}",
            vault_id=vault.id,
        )
    return Past(heads, entries)
