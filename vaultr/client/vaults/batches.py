"""Writes many wishes in batches that fit the server, smaller ones when others are faster."""

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
from vaultr.client.vaults.write_intents import EditConflict, Wish
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.sizes import BATCH_BODY_BYTES, CHANGES_PER_BATCH

# Base64url takes 4 characters for 3 bytes; ids, entry and names of one change take under 800.
_CHANGE_BYTES: Final = 800
_BODY_BYTES: Final = BATCH_BODY_BYTES - 64 * 1024
# The vault has newer keys, or somebody changed one of the items: that is held by now.
_OVERTAKEN: Final = (GenerationMoved, PreconditionFailed, ItemNotFound, InTrash)


class Batches:
    """Writes batch after batch; how many changes one may hold shrinks when others write too."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._most = CHANGES_PER_BATCH

    def write(self, vault_id: UUID, wishes: Sequence[Wish], sizes: Sequence[int]) -> int:
        """Write the first of ``wishes`` in one batch, and tell how many they were.

        :param sizes: the sealed bytes of each.
        :return: 0 when somebody was faster; the vault is up to date then, and all may be asked
            for anew.
        :raises EditConflict: an item is not what its user saw; nothing of the batch was written.
        :raises HeadMoved: others were faster than a write of one change, too.
        :raises Refused: the server refuses it, and nobody wrote what could be the reason.
        """
        batch = wishes[: fitting(sizes, self._most)]
        before = self._writer.held_at(vault_id)
        try:
            # One change alone steps aside and tries again by itself.
            write = self._writer.write if self._most == 1 else self._writer.write_once
            write(vault_id, batch)
        except HeadMoved:
            if self._most == 1:
                raise
            # A smaller batch is sealed and sent faster than others write.
            self._most = max(1, len(batch) // 2)
            return 0
        except EditConflict:
            raise
        except _OVERTAKEN:
            # To ask again for what was refused, and is as it was, would never end.
            if self._writer.held_at(vault_id) == before:
                raise
            return 0
        self._most = min(CHANGES_PER_BATCH, 2 * self._most)
        return len(batch)


def fitting(sizes: Sequence[int], most: int = CHANGES_PER_BATCH) -> int:
    """Tell how many of items with these sealed sizes fit into one batch; at least one."""
    size = 0
    for count, each in enumerate(sizes[:most]):
        size += each * 4 // 3 + _CHANGE_BYTES
        if size > _BODY_BYTES and count:
            return count
    return min(most, len(sizes))
