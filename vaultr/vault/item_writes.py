"""Writes to one item: put, trash, restore, remove."""

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
from vaultr.vault.log_entries import Said, log_of, stored_already
from vaultr.vault.models import ENTRIES
from vaultr.vault.pending_changes import Draft, Held
from vaultr.vault.persistence import store_one
from vaultr.vault.responses import WriteView

_STATE_AFTER: dict[str, Literal["active", "trash", "removed"]] = {
    Op.PUT: "active",
    Op.TRASH: "trash",
    Op.RESTORE: "active",
    Op.REMOVE: "removed",
}


def write_item(actor: Actor, vault_id: UUID, change: Change, quota: Quota) -> WriteView:
    """Make one change to one item.

    A write whose entry is stored already is answered as the first time, and nothing is done.

    :raises Refusal: as `lock_vault`, `check` and `Draft.make` say, in the API's order.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id, change.item_id)
        draft = draft_of(actor, vault_id, row, quota)
        draft.items[change.item_id] = _held(row)
        if row.removed_revision is not None:
            draft.removed.add(change.item_id)
        said = [Said(change.op, change.item_id, change.entry)]
        repeated = stored_already(connection, vault_id, row.revision, said)
        if repeated is None:
            draft.check_there(change)
        check(change, quota)
        if repeated is not None:
            return _answer_again(connection, repeated[0])
        held = draft.make(change)
        event_id = record(Event.ITEM_WRITE, account_id=actor.account_id, obj=draft.log.event())
        store_one(connection, draft, change, event_id)
    metrics.VAULT_WRITES.labels(change.op).inc()
    return _answer(draft, change, held)


def draft_of(actor: Actor, vault_id: UUID, row: Any, quota: Quota) -> Draft:
    """Begin to change the vault whose locked row this is."""
    return Draft(
        log=log_of(actor, vault_id, row),
        quota=quota,
        active=row.active,
        trash=row.trash,
        item_bytes=row.item_bytes,
        version_bytes=row.version_bytes,
        items={},
        removed=set(),
    )


def _held(row: Any) -> Held | None:
    if row.item_revision is None:
        return None
    return Held(
        revision=row.item_revision,
        content_revision=row.item_content_revision,
        generation=row.item_generation,
        type=row.item_type,
        state=row.item_state,
        size=row.item_size,
        puts=row.item_puts,
        content=bytes(row.item_content),
    )


def _answer(draft: Draft, change: Change, held: Held | None) -> WriteView:
    return WriteView(
        id=change.item_id,
        revision=draft.log.revision,
        content_revision=held.content_revision if held else 0,
        generation=held.generation if held else draft.log.generation,
        state=held.state if held else "removed",
        head=draft.log.head,
    )


def _answer_again(connection: sa.Connection, entry: Any) -> WriteView:
    """Answer from the stored entry, for the item may have changed since."""
    generation = entry.generation
    if entry.op in (Op.TRASH, Op.RESTORE):
        # The item's own, which its last put before this says.
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
