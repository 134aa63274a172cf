"""Write many changes in batches, in smaller ones if others write at the same time."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from vaultr.client.errors import (
    GenerationMoved,
    HeadMoved,
    InTrash,
    ItemNotFound,
    PreconditionFailed,
)
from vaultr.client.vaults.write_intents import EditConflict, PlannedChange
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.sizes import BATCH_BODY_BYTES, CHANGES_PER_BATCH

# Base64url needs 4 characters for 3 bytes; ids, entry and names of a change need less than 800.
_CHANGE_BYTES: Final = 800
_BODY_BYTES: Final = BATCH_BODY_BYTES - 64 * 1024
# The vault has newer keys, or an item changed; the vault was synced after the rejection.
_OVERTAKEN: Final = (GenerationMoved, PreconditionFailed, ItemNotFound, InTrash)


class Batches:
    """Writes batch after batch; the batches shrink while others write too."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._most = CHANGES_PER_BATCH

    def write(self, vault_id: UUID, planned: Sequence[PlannedChange], sizes: Sequence[int]) -> int:
        """Write the first of ``planned`` in one batch, and return their number.

        :param sizes: the sealed bytes of each change.
        :return: 0 if another write came first; then the vault is synced, and the caller may plan
            all changes again.
        :raises EditConflict: an item changed since its user saw it; nothing was written.
        :raises HeadMoved: others kept writing even in between single changes.
        :raises Refused: the server rejects the batch, and no other write explains it.
        """
        batch = planned[: fitting(sizes, self._most)]
        before = self._writer.held_at(vault_id)
        try:
            # A single change waits and retries on its own.
            write = self._writer.write if self._most == 1 else self._writer.write_once
            write(vault_id, batch)
        except HeadMoved:
            if self._most == 1:
                raise
            # A smaller batch is sealed and sent faster, so it is more likely to come first.
            self._most = max(1, len(batch) // 2)
            return 0
        except EditConflict:
            raise
        except _OVERTAKEN:
            # Nothing changed: sending the same batch again would never end.
            if self._writer.held_at(vault_id) == before:
                raise
            return 0
        self._most = min(CHANGES_PER_BATCH, 2 * self._most)
        return len(batch)


def fitting(sizes: Sequence[int], most: int = CHANGES_PER_BATCH) -> int:
    """Return how many items with these sealed sizes fit in one batch; at least 1."""
    size = 0
    for count, each in enumerate(sizes[:most]):
        size += each * 4 // 3 + _CHANGE_BYTES
        if size > _BODY_BYTES and count:
            return count
    return min(most, len(sizes))
