"""An older part of a vault's log, proven by hashes that lead to the cached head."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.errors import ChainBroken, HeadMoved
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.sync import Syncer
from vaultr.protocol.entries import Entry, Op


@dataclass(frozen=True, slots=True)
class LogExcerpt:
    """The log from one revision to the cached one.

    :ivar heads: the head at each revision, including the first.
    :ivar entries: the entries after the first revision.
    """

    heads: Mapping[int, bytes] = field(repr=False)
    entries: Mapping[int, Entry] = field(repr=False)

    def has_put(self, item_id: UUID, *, after: int, through: int) -> bool:
        """Check whether the item was put after one revision and up to another."""
        between = (self.entries.get(n) for n in range(after + 1, through + 1))
        return any(each and (each.op, each.item_id) == (Op.PUT, item_id) for each in between)


def read_log_excerpt(syncer: Syncer, vault: CachedVault, since: int) -> LogExcerpt:
    """Fetch the log after ``since`` (at least 1), with the items that have changed since.

    The MACs need no check: the MAC of the cached head covers all earlier entries.

    :raises ChainBroken: the server's log does not lead to the cached head.
    """
    try:
        signed = syncer.show_since(vault.id, since).entries
    except HeadMoved:  # the server has fewer revisions
        signed = []
    heads = {since: signed[0].entry.prev} if signed else {}
    entries = {}
    for each in signed[: vault.state.n - since]:
        if heads[each.entry.n - 1] != each.entry.prev:
            break
        entries[each.entry.n], heads[each.entry.n] = each.entry, each.head
    if heads.get(vault.state.n) != vault.state.head:
        raise ChainBroken(
            f"The server shows another history of vault {vault.id}: its log of changes does not "
            f"lead to what this device has, {vault.waypoint}.",
            vault_id=vault.id,
        )
    return LogExcerpt(heads, entries)
