"""A batch of changes to one vault: all of it, in order, or nothing."""

from collections.abc import Collection, Sequence
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import transaction
from vaultr.observability import metrics
from vaultr.request_context import Actor
from vaultr.vault.change_rules import Change, Quota, check
from vaultr.vault.item_writes import draft_of
from vaultr.vault.locking import lock_vault
from vaultr.vault.log_entries import Said, stored_already
from vaultr.vault.models import ITEMS, REMOVED
from vaultr.vault.pending_changes import Draft, Held
from vaultr.vault.persistence import store_many
from vaultr.vault.responses import ChangesView, ResultView
from vaultr.vault.schemas import ChangeIn


def change_items(
    actor: Actor, vault_id: UUID, given: Sequence[ChangeIn], quota: Quota
) -> ChangesView:
    """Make all changes of a batch, each on top of the one before.

    A batch whose last entry is stored already is answered as the first time, and nothing is done.

    :raises Refusal: what is wrong with the first bad one, as `lock_vault`, `check` and
        `Draft.make` say, whatever is wrong with later ones; nothing was changed.
    """
    changes = read_in(given)
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        repeated = stored_already(connection, vault_id, row.revision, said_of(changes))
        if repeated is not None:
            for change in changes:
                check(change, quota)
            return _answer(changes, head=repeated[-1].head)
        draft = draft_of(actor, vault_id, row, quota)
        read_items(connection, draft, {change.item_id for change in changes})
        for change in changes:
            draft.check_there(change)
            check(change, quota)
            draft.make(change)
        event_id = record(Event.ITEM_WRITE, account_id=actor.account_id, obj=draft.log.event())
        store_many(connection, draft, event_id)
    for change in changes:
        metrics.VAULT_WRITES.labels(change.op).inc()
    return _answer(changes, head=draft.log.head)


def read_in(given: Sequence[ChangeIn]) -> list[Change]:
    """Read the changes of a batch, each knowing its place."""
    last = {one.item_id: at for at, one in enumerate(given)}
    return [
        Change.of_batch(one, f"/changes/{at}", followed=last[one.item_id] > at)
        for at, one in enumerate(given)
    ]


def said_of(changes: Sequence[Change]) -> list[Said]:
    """Return what a batch says of its entries."""
    return [Said(change.op, change.item_id, change.entry) for change in changes]


def read_items(connection: sa.Connection, draft: Draft, item_ids: Collection[UUID]) -> None:
    """Read what a batch is about into the draft."""
    vault_id = draft.log.vault_id
    names = list(Held.__dataclass_fields__)
    columns = [ITEMS.c.id, *(ITEMS.c[name] for name in names)]
    found = connection.execute(
        sa.select(*columns).where(ITEMS.c.vault_id == vault_id, ITEMS.c.id.in_(item_ids))
    )
    draft.items = dict.fromkeys(item_ids)
    draft.items |= {item_id: Held(*rest) for item_id, *rest in found}
    draft.removed = set(
        connection.scalars(
            sa.select(REMOVED.c.item_id).where(
                REMOVED.c.vault_id == vault_id, REMOVED.c.item_id.in_(item_ids)
            )
        )
    )


def _answer(changes: Sequence[Change], *, head: bytes) -> ChangesView:
    results = [ResultView(item_id=one.item_id, revision=one.entry.n) for one in changes]
    return ChangesView(results=results, revision=results[-1].revision, head=head)
