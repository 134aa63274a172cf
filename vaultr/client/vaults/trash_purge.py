"""Remove items that were in the trash for 30 days, by this device's clock and the server's.

Both clocks must agree, so that neither the server nor a wrong clock of this device can remove an
item early. The server can only delay it.
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
# More than the difference of two correct clocks plus the time of a sync.
_APART: Final = timedelta(days=1)
_POSTPONED: Final = (
    "Items were in the trash for 30 days by this device's clock, but not by the server's. They are "
    "not removed yet. Check the clocks with: vaultr doctor"
)


def remove_old(
    vault: CachedVault,
    writer: Writer,
    *,
    server_time: datetime | None,
    notify: Callable[[str], None],
) -> bool:
    """Remove the items that were in the trash long enough.

    :param server_time: the server's clock; without it nothing is removed.
    :param notify: receives a notice if the clocks disagree.
    :return: whether there was an item to remove.
    """
    seen = _seen_long(vault)
    old = [each for each in seen if _time_in_trash(vault, each, server_time) >= _long()]
    if any(_time_in_trash(vault, each, server_time) < _long() - _APART for each in seen):
        notify(_POSTPONED)
    for start in range(0, len(old), CHANGES_PER_BATCH):
        held = {each: vault.state.items[each] for each in old[start : start + CHANGES_PER_BATCH]}
        planned = [
            Move(Op.REMOVE, item_id, seen=item.content_revision, revision=item.revision)
            for item_id, item in held.items()
        ]
        # Another device restored one of them: the next sync checks again.
        with contextlib.suppress(EditConflict):
            writer.write(vault.id, planned)
    return bool(old)


def _long() -> timedelta:
    return timedelta(days=TRASH_DAYS)


def _seen_long(vault: CachedVault) -> list[UUID]:
    """Return the items that were in the trash for 30 days by this device's clock."""
    before = datetime.now(UTC) - _long()
    seen = ((item_id, trashed_since(vault, item_id)) for item_id in vault.trashed)
    return [item_id for item_id, since in seen if since is not None and since <= before]


def _time_in_trash(vault: CachedVault, item_id: UUID, server_time: datetime | None) -> timedelta:
    """Return how long an item has been in the trash by the server's clock."""
    if server_time is None:
        return timedelta.min
    # The last change to an item in the trash is the one that moved it there.
    return server_time - datetime.fromisoformat(vault.rows[item_id].updated_at)
