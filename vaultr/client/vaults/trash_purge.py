"""Removes for good what lay in the trash for 30 days: by this device's clock and by the server's.

The server alone can delay a removal so, and hasten none; and a clock of this device that was wrong
for a while, when it saw the item trashed or looks again, hastens none either.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from vaultr.client.storage.cache import CachedVault, trashed_since
from vaultr.client.vaults.write_intents import EditConflict, Move
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.entries import Op
from vaultr.protocol.sizes import CHANGES_PER_BATCH

TRASH_DAYS: Final = 30
# Two clocks that are right, and the time that a sync takes, are never that far apart.
_APART: Final = timedelta(days=1)
_PUT_OFF: Final = (
    "Items were in the trash for 30 days by this device's clock, and not by the server's: none of "
    "them is removed yet. vaultr doctor looks at the clocks."
)


def remove_old(
    vault: CachedVault,
    writer: Writer,
    *,
    server_time: datetime | None,
    tell: Callable[[str], None],
) -> bool:
    """Remove what has been in the trash long enough.

    :param server_time: the server's clock; None where it tells none, and then nothing is removed.
    :return: whether there was something to remove.
    """
    seen = _seen_long(vault)
    old = [each for each in seen if _lay_for(vault, each, server_time) >= _long()]
    if any(_lay_for(vault, each, server_time) < _long() - _APART for each in seen):
        tell(_PUT_OFF)
    for start in range(0, len(old), CHANGES_PER_BATCH):
        held = {each: vault.state.items[each] for each in old[start : start + CHANGES_PER_BATCH]}
        wishes = [
            Move(Op.REMOVE, item_id, seen=item.content_revision, revision=item.revision)
            for item_id, item in held.items()
        ]
        # Somebody restored one of them meanwhile: the next sync looks again.
        with contextlib.suppress(EditConflict):
            writer.write(vault.id, wishes)
    return bool(old)


def _long() -> timedelta:
    return timedelta(days=TRASH_DAYS)


def _seen_long(vault: CachedVault) -> list[UUID]:
    """Name the items that this device has seen in the trash for 30 days, by its own clock."""
    before = datetime.now(UTC) - _long()
    seen = ((item_id, trashed_since(vault, item_id)) for item_id in vault.trashed)
    return [item_id for item_id, since in seen if since is not None and since <= before]


def _lay_for(vault: CachedVault, item_id: UUID, server_time: datetime | None) -> timedelta:
    """Tell how long an item has lain in the trash, if the server's word is taken for it."""
    if server_time is None:
        return timedelta.min
    # What was last changed in an item that is in the trash is that it went there.
    return server_time - datetime.fromisoformat(vault.rows[item_id].updated_at)
