"""Check that each vault's log is complete and linked, and ends at its head, as after a restore."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.protocol.entries import Entry, Op, first_head, head_of
from vaultr.vault.models import ENTRIES, VAULTS

_ROWS: Final = 2_000  # entries in memory at a time
_COLUMNS: Final = (
    "vault_id", "n", "prev", "op", "item_id", "content_revision", "content", "generation",
    "author_id", "vouch", "mac", "head",
)  # fmt: skip


@dataclass(slots=True)
class _Chain:
    """The last entry that was read of one vault's log, and the error found so far."""

    n: int
    head: bytes
    broken: str = ""


def broken_logs(session: Session) -> Iterator[str]:
    """Yield one sentence for each vault whose log is damaged.

    Each entry is read once; the memory depends on the number of vaults, not of entries. The server
    cannot check the MAC of an entry, because only clients have its key.
    """
    chains: dict[UUID, _Chain] = {}
    ends = sa.select(VAULTS.c.id, VAULTS.c.revision, VAULTS.c.head)
    entries = sa.select(*(ENTRIES.c[name] for name in _COLUMNS))
    entries = entries.order_by(ENTRIES.c.vault_id, ENTRIES.c.n)
    for row in _streamed(session, entries):
        chain = chains.get(row.vault_id)
        if chain is None:
            chain = chains[row.vault_id] = _Chain(0, first_head(row.vault_id))
        _follow(chain, row)
    for vault_id, revision, head in _streamed(session, ends):
        chain = chains.get(vault_id) or _Chain(0, first_head(vault_id))
        if chain.broken:
            yield f"vault {vault_id}: {chain.broken}"
        elif (chain.n, chain.head) != (revision, bytes(head)):
            yield (
                f"vault {vault_id}: its log ends at entry {chain.n}, but its head belongs to"
                f" revision {revision}"
            )


def _streamed(session: Session, query: sa.Select[Any]) -> Iterator[Any]:
    options = {"yield_per": _ROWS, "stream_results": True}
    yield from session.connection().execute(query, execution_options=options)


def _follow(chain: _Chain, row: Any) -> None:
    if chain.broken:
        return
    if row.n != chain.n + 1:
        chain.broken = f"entry {chain.n + 1} of its log is missing"
        return
    entry = Entry(
        row.vault_id, row.n, bytes(row.prev), Op(row.op), row.item_id, row.content_revision,
        bytes(row.content), row.generation, row.author_id, bytes(row.vouch),
    )  # fmt: skip
    head = bytes(row.head)
    if entry.prev != chain.head or head_of(entry, bytes(row.mac)) != head:
        chain.broken = f"entry {row.n} of its log was changed"
        return
    chain.n, chain.head = row.n, head
