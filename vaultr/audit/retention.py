"""Retention: prune old trees, set holds, redact details. Runs as the owner of the tables."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.audit import checkpoints, recording, tree
from vaultr.audit.errors import (
    EventNotFound,
    Held,
    HoldExists,
    HoldUnknown,
    NoRetention,
    NothingToRedact,
    UnsequencedEvents,
)  # fmt: skip
from vaultr.audit.events import Event
from vaultr.audit.models import (
    AuditCheckpoint,
    AuditEvent,
    AuditHold,
    AuditLeaf,
    AuditNode,
    AuditPending,
    AuditPrune,
)  # fmt: skip
from vaultr.database.session import reading, transaction
from vaultr.settings.model import current_settings

BATCH = 2000


def prune(*, by: str) -> list[int]:
    """Prune every tree that is old enough, oldest first; first finish an interrupted run.

    :return: the numbers of the pruned trees.
    :raises NoRetention, Held, UnsequencedEvents: nothing was pruned.
    """
    months = current_settings().audit_retention_months
    if not months:
        raise NoRetention
    with reading() as session:
        if session.scalar(sa.select(sa.exists(sa.select(AuditHold.name)))):
            raise Held
        if session.scalar(sa.select(sa.exists(sa.select(AuditPending.event_id)))):
            raise UnsequencedEvents
        unfinished = session.scalars(
            sa.select(AuditPrune.epoch).where(
                sa.exists().where(AuditLeaf.epoch == AuditPrune.epoch)
            )
        ).all()
    for interrupted in unfinished:
        _delete(interrupted)
    pruned = list(unfinished)
    while (epoch := _record(months, by=by)) is not None:
        _delete(epoch)
        pruned.append(epoch)
    return pruned


def months_before(moment: datetime, months: int) -> datetime:
    """Return the start of the month that is this many months before a time."""
    month = moment.year * 12 + moment.month - 1 - months
    return moment.replace(
        year=month // 12, month=month % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0
    )


def _record(months: int, *, by: str) -> int | None:
    """Record the pruning of the oldest tree, if it is old enough and not the current one."""
    with transaction() as session:
        if session.scalar(sa.select(sa.exists(sa.select(AuditHold.name)))):
            raise Held
        epoch: int | None = session.scalar(sa.select(sa.func.min(AuditLeaf.epoch)))
        newest = checkpoints.last_signed(session)
        if epoch is None or newest is None or epoch >= newest.epoch:
            return None
        last = _last_event_at(session, epoch)
        final = checkpoints.newest(session, epoch)
        if last >= months_before(clock.now(), months) or final is None:
            return None
        size = tree.size(session, epoch)
        obj = {
            "kind": "tree", "epoch": epoch, "size": size, "checkpoint": final.note,
            "last_event_at": clock.text(last),
        }  # fmt: skip
        event_id = recording.record_system(Event.LOG_PRUNE, obj, by=by)
        session.add(
            AuditPrune(
                epoch=epoch, first_idx=0, last_idx=size - 1, last_event_at=last,
                checkpoint=final.note, policy=f"months:{months}", operator=by, event_id=event_id,
            )
        )  # fmt: skip
    return epoch


def _last_event_at(session: Session, epoch: int) -> datetime:
    query = (
        sa.select(sa.func.max(AuditEvent.t))
        .join(AuditLeaf, AuditLeaf.event_id == AuditEvent.event_id)
        .where(AuditLeaf.epoch == epoch)
    )
    last: datetime | None = session.scalar(query)
    return last if last is not None else clock.now()


def _delete(epoch: int) -> None:
    """Delete a tree in batches, each leaf with its event; keep the final checkpoint."""
    while True:
        with transaction() as session:
            query = sa.select(AuditLeaf.idx, AuditLeaf.event_id).where(AuditLeaf.epoch == epoch)
            rows = session.execute(query.order_by(AuditLeaf.idx).limit(BATCH)).all()
            if not rows:
                break
            ids = [event_id for _, event_id in rows]
            session.execute(sa.delete(AuditEvent).where(AuditEvent.event_id.in_(ids)))
            place = (AuditLeaf.epoch == epoch, AuditLeaf.idx <= rows[-1][0])
            session.execute(sa.delete(AuditLeaf).where(*place))
    with transaction() as session:
        session.execute(sa.delete(AuditNode).where(AuditNode.epoch == epoch))
        size = sa.select(sa.func.max(AuditCheckpoint.size)).where(AuditCheckpoint.epoch == epoch)
        older = (AuditCheckpoint.epoch == epoch, AuditCheckpoint.size < size.scalar_subquery())
        session.execute(sa.delete(AuditCheckpoint).where(*older))


def redact(event_id: UUID, *, reason: str, by: str) -> None:
    """Delete the personal details of an event; its commitment stays, so the log still verifies.

    :raises EventNotFound, NothingToRedact: there is nothing to delete.
    """
    with transaction() as session:
        event = session.get(AuditEvent, event_id)
        if event is None:
            raise EventNotFound
        if event.detail is None:
            raise NothingToRedact
        event.detail = event.detail_salt = None
        session.flush()
        obj = {"kind": "event", "id": str(event_id), "reason": reason}
        recording.record_system(Event.LOG_REDACT, obj, by=by)


def hold(name: str, *, reason: str, by: str) -> None:
    """Set a legal hold: nothing is pruned until it is lifted.

    :raises HoldExists: a hold of this name exists.
    """
    with transaction() as session:
        if session.get(AuditHold, name) is not None:
            raise HoldExists
        obj = {"kind": "hold", "action": "set", "name": name, "reason": reason}
        event_id = recording.record_system(Event.ADMIN_AUDIT, obj, by=by)
        session.add(
            AuditHold(
                name=name, reason=reason, operator=by, created_at=clock.now(), event_id=event_id
            )
        )


def lift(name: str, *, reason: str, by: str) -> None:
    """Lift a legal hold.

    :raises HoldUnknown: no hold has this name.
    """
    with transaction() as session:
        held = session.get(AuditHold, name)
        if held is None:
            raise HoldUnknown
        session.delete(held)
        obj = {"kind": "hold", "action": "lift", "name": name, "reason": reason}
        recording.record_system(Event.ADMIN_AUDIT, obj, by=by)
