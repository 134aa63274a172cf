"""Trash, restore and remove items, in as few writes as possible."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from vaultr.client.errors import VaultrError
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.batches import fitting
from vaultr.client.vaults.reader import Item, Reader
from vaultr.client.vaults.write_intents import Move
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.entries import Op
from vaultr.protocol.sizes import CHANGES_PER_BATCH

Found = tuple[CachedVault, Item]
# A restored item may be resealed in the same write, which makes two changes.
_RESTORED_MOST: Final = CHANGES_PER_BATCH // 2


def move_all(reader: Reader, writer: Writer, op: Op, found: Sequence[Found]) -> list[Item]:
    """Apply ``op`` to items: to all that fit in one write, or to none.

    If a later write fails, the error's note says how many items were changed.

    :return: the items in order, with their new state, or their last state if they are removed.
    :raises EditConflict: an item has changed since its user saw it.
    """
    items = {item.id: (vault, item) for vault, item in found}
    after: dict[UUID, Item] = {}
    for vault_id, batch in _batches(op, list(items.values())):
        moves = [_move_of(op, item) for item in batch]
        try:
            written = writer.write(vault_id, moves)
        except VaultrError as error:
            if after:
                error.add_note(f"{len(after)} of {len(items)} items were changed.")
            raise
        for item in batch:
            gone = op is Op.REMOVE
            after[item.id] = item if gone else reader.item(written, item.id)
    return [after[each] for each in items]


def _move_of(op: Op, item: Item) -> Move:
    revision = item.revision if op is Op.REMOVE else None
    return Move(op, item.id, seen=item.content_revision, revision=revision)


def _batches(op: Op, found: Sequence[Found]) -> Iterator[tuple[UUID, list[Item]]]:
    for vault_id in dict.fromkeys(vault.id for vault, _ in found):
        there = [(vault, item) for vault, item in found if vault.id == vault_id]
        while there:
            restored = op is Op.RESTORE
            sizes = [_bytes(*each) if restored else 0 for each in there]
            count = fitting(sizes, _RESTORED_MOST if restored else CHANGES_PER_BATCH)
            yield vault_id, [item for _, item in there[:count]]
            there = there[count:]


def _bytes(vault: CachedVault, item: Item) -> int:
    row = vault.rows[item.id]
    return len(row.overview) + row.length
