"""Write one change to one item: put, trash, restore or remove."""

from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import transaction
from vaultr.observability import metrics
from vaultr.protocol.entries import Op
from vaultr.request_context import Actor
from vaultr.vault.change_rules import Change, Quota, check
from vaultr.vault.locking import lock_vault
from vaultr.vault.log_entries import SentEntry, check_growth, log_of, repeated_entries
from vaultr.vault.models import ENTRIES
from vaultr.vault.pending_changes import PendingChanges, StoredItem
from vaultr.vault.persistence import store_one
from vaultr.vault.responses import WriteView

_STATE_AFTER: dict[str, Literal["active", "trash", "removed"]] = {
    Op.PUT: "active",
    Op.TRASH: "trash",
    Op.RESTORE: "active",
    Op.REMOVE: "removed",
}


def write_item(actor: Actor, vault_id: UUID, change: Change, quota: Quota) -> WriteView:
    """Write one change to one item.

    If the entry is already stored, return the first response again and write nothing.

    :raises ServiceError: see `lock_vault`, `check` and `PendingChanges.apply`; the API defines the
        order of the checks.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id, change.item_id, right="write")
        pending = begin_changes(actor, vault_id, row, quota)
        pending.items[change.item_id] = _stored_item(row)
        if row.removed_revision is not None:
            pending.removed.add(change.item_id)
        sent = [SentEntry(change.op, change.item_id, change.entry)]
        repeated = repeated_entries(connection, vault_id, row.revision, sent)
        if repeated is None:
            pending.check_exists(change)
        check(change, quota)
        if repeated is not None:
            return _repeated_response(connection, repeated[0])
        item = pending.apply(change)
        check_growth(connection, pending.log, quota.changes)
        event_id = record(Event.ITEM_WRITE, account_id=actor.account_id, obj=pending.log.event())
        store_one(connection, pending, change, event_id)
    metrics.VAULT_WRITES.labels(change.op).inc()
    return _response(pending, change, item)


def begin_changes(actor: Actor, vault_id: UUID, row: Any, quota: Quota) -> PendingChanges:
    """Return empty pending changes for a vault, from its locked row."""
    return PendingChanges(
        log=log_of(actor, vault_id, row),
        quota=quota,
        active=row.active,
        trash=row.trash,
        item_bytes=row.item_bytes,
        version_bytes=row.version_bytes,
        items={},
        removed=set(),
    )


def _stored_item(row: Any) -> StoredItem | None:
    if row.item_revision is None:
        return None
    return StoredItem(
        revision=row.item_revision,
        content_revision=row.item_content_revision,
        generation=row.item_generation,
        type=row.item_type,
        state=row.item_state,
        size=row.item_size,
        puts=row.item_puts,
        content=bytes(row.item_content),
    )


def _response(pending: PendingChanges, change: Change, item: StoredItem | None) -> WriteView:
    return WriteView(
        id=change.item_id,
        revision=pending.log.revision,
        content_revision=item.content_revision if item else 0,
        generation=item.generation if item else pending.log.generation,
        state=item.state if item else "removed",
        head=pending.log.head,
    )


def _repeated_response(connection: sa.Connection, entry: Any) -> WriteView:
    """Build the response from the stored entry, because the item may have changed since."""
    generation = entry.generation
    if entry.op in (Op.TRASH, Op.RESTORE):
        # The generation of the item's last put before this entry.
        generation = connection.scalars(
            sa.select(ENTRIES.c.generation).where(
                ENTRIES.c.vault_id == entry.vault_id, ENTRIES.c.n == entry.content_revision
            )
        ).one()
    return WriteView(
        id=entry.item_id,
        revision=entry.n,
        content_revision=entry.content_revision,
        generation=generation,
        state=_STATE_AFTER[entry.op],
        head=entry.head,
    )
