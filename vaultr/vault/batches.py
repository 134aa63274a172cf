"""Write a batch of changes to one vault, in order: all of them or none."""

from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import transaction
from vaultr.observability import metrics
from vaultr.request_context import Actor
from vaultr.vault.change_rules import Change, Quota, check
from vaultr.vault.item_writes import begin_changes
from vaultr.vault.locking import lock_vault
from vaultr.vault.log_entries import SentEntry, check_growth, repeated_entries
from vaultr.vault.models import ITEMS, REMOVED
from vaultr.vault.pending_changes import PendingChanges, StoredItem
from vaultr.vault.persistence import store_many
from vaultr.vault.responses import ChangesView, ResultView
from vaultr.vault.schemas import ChangeIn


def change_items(
    actor: Actor, vault_id: UUID, body: Sequence[ChangeIn], quota: Quota
) -> ChangesView:
    """Write all changes of a batch, each based on the one before.

    If the last entry of the batch is already stored, return the first response again and write
    nothing.

    :raises ServiceError: the error of the first invalid change, as raised by `lock_vault`, `check`
        or `PendingChanges.apply`. Nothing was written.
    """
    changes = parse_changes(body)
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id, right="write")
        repeated = repeated_entries(connection, vault_id, row.revision, sent_entries(changes))
        if repeated is not None:
            for change in changes:
                check(change, quota)
            return _response(changes, head=repeated[-1].head)
        pending = begin_changes(actor, vault_id, row, quota)
        load_items(connection, pending, {change.item_id for change in changes})
        for change in changes:
            pending.check_exists(change)
            check(change, quota)
            pending.apply(change)
        check_growth(connection, pending.log, quota.changes)
        event_id = record(Event.ITEM_WRITE, account_id=actor.account_id, obj=pending.log.event())
        store_many(connection, pending, event_id)
    for change in changes:
        metrics.VAULT_WRITES.labels(change.op).inc()
    return _response(changes, head=pending.log.head)


def parse_changes(body: Sequence[ChangeIn]) -> list[Change]:
    """Convert the changes of a request body, each with its position in the batch."""
    last = {one.item_id: at for at, one in enumerate(body)}
    return [
        Change.of_batch(one, f"/changes/{at}", followed=last[one.item_id] > at)
        for at, one in enumerate(body)
    ]


def sent_entries(changes: Sequence[Change]) -> list[SentEntry]:
    """Return the parts of the batch's entries that identify a repeated write."""
    return [SentEntry(change.op, change.item_id, change.entry) for change in changes]


def load_items(
    connection: sa.Connection, pending: PendingChanges, item_ids: Collection[UUID]
) -> None:
    """Load the items that a batch changes into ``pending``."""
    vault_id = pending.log.vault_id
    names = list(StoredItem.__dataclass_fields__)
    columns = [ITEMS.c.id, *(ITEMS.c[name] for name in names)]
    found = connection.execute(
        sa.select(*columns).where(ITEMS.c.vault_id == vault_id, ITEMS.c.id.in_(item_ids))
    )
    pending.items = dict.fromkeys(item_ids)
    pending.items |= {item_id: StoredItem(*rest) for item_id, *rest in found}
    pending.removed = set(
        connection.scalars(
            sa.select(REMOVED.c.item_id).where(
                REMOVED.c.vault_id == vault_id, REMOVED.c.item_id.in_(item_ids)
            )
        )
    )


def _response(changes: Sequence[Change], *, head: bytes) -> ChangesView:
    results = [ResultView(item_id=change.item_id, revision=change.entry.n) for change in changes]
    return ChangesView(results=results, revision=results[-1].revision, head=head)
