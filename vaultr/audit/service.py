"""What the other rooms use: record an event in the transaction of the change it tells of."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr import request_context as who
from vaultr.audit import denied_requests, event_encoding, inline_insert, log_name, transaction_hooks
from vaultr.audit.chain_pool import Writer
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.event_encoding import Told
from vaultr.audit.events import Event
from vaultr.audit.inline_insert import Prepared
from vaultr.audit.models import AuditEvent
from vaultr.audit.transaction_hooks import Lease
from vaultr.database.contention import is_contention
from vaultr.database.session import postgresql, transaction
from vaultr.errors import ServiceError
from vaultr.observability import logs, metrics
from vaultr.request_context import Actor


@dataclass(frozen=True, slots=True)
class Denial:
    """What a refusal carries as its ``event``: recorded after its transaction was undone."""

    event: Event
    account_id: UUID | None
    reason: str
    obj: Mapping[str, Any] | None = None
    actor: Actor | None = None


def record(
    event: Event,
    *,
    account_id: UUID | None,
    actor: Actor | None = None,
    obj: Mapping[str, Any] | None = None,
    out: str = "ok",
    reason: str | None = None,
    session_id: UUID | None = None,
) -> UUID:
    """Record what happens in this transaction; it commits with its record or not at all.

    :param account_id: whom it is about; None for a stranger (or, outside a request, the system).
    :param actor: who did it, where that is not the proven caller of the request.
    :param obj: object kind and id and what else tells of it: texts, whole numbers, lists, objects.
    :param out: ``ok``, ``deny`` or ``error``; ``reason`` is a word that goes with it.
    :return: the event's id, which rows that matter keep as ``audit_event_id``.
    :raises AuditUnavailable: it cannot be recorded; the transaction can then only be undone.
    :raises RuntimeError: outside of `transaction()`, or inside of a savepoint.
    """
    told = event_encoding.told(
        event,
        account_id=account_id,
        actor_=actor,
        obj=obj,
        out=out,
        reason=reason,
        session_id=session_id,
    )
    return _record(told)


def prepared(
    event: Event,
    *,
    account_id: UUID,
    actor: Actor | None = None,
    obj: Mapping[str, Any] | None = None,
) -> AbstractContextManager[Prepared]:
    """Prepare a record that the caller's own statement inserts; PostgreSQL, no transaction.

    SQL = f"WITH gate AS (SELECT …), {Prepared.ctes('gate')} SELECT …, EXISTS (SELECT 1 FROM pend)"

    with audit.prepared(Event.ITEM_READ, account_id=…, obj=…) as ready, one_statement() as one:
        row = one.execute(sa.text(SQL), {…, **ready.parameters}).one()
        ready.done(inserted=row.exists)

    :raises AuditUnavailable: the statement failed, and nobody else was in the way.
    """
    told = event_encoding.told(
        event,
        account_id=account_id,
        actor_=actor,
        obj=obj,
        out="ok",
        reason=None,
        session_id=None,
    )
    return inline_insert.prepared(told, _start)


def _start() -> Writer:
    with transaction():
        lease = _lease()
        lease.kept = True
    return lease.writer


def record_error(error: ServiceError) -> None:
    """Record the audit event of an error, in a transaction of its own.

    :raises AuditUnavailable: the event cannot be recorded; the caller receives this error instead.
    """
    denial: Denial = error.audit_event
    with transaction():
        record(
            denial.event,
            account_id=denial.account_id,
            actor=denial.actor,
            obj=denial.obj,
            out="deny",
            reason=denial.reason,
        )


def knows(account_id: UUID) -> bool:
    """Tell whether anything was recorded about an account, even one that is gone.

    Whoever had its id next would read the events of its last owner.
    """
    with transaction() as session:
        about = sa.exists().where(AuditEvent.sub == str(account_id))
        return session.execute(sa.select(about)).scalar_one()


def count_denial(reason: str) -> None:
    """Count a request that the door or a limit refuses; it is recorded when its minute is over."""
    metrics.DENIED.labels(reason).inc()
    denied_requests.current().count(reason, who.current_origin().network)


def flush_denials(*, all_of_them: bool = False) -> bool:
    """Record what was refused in minutes that are over; what fails is kept for the next time.

    :return: False; nothing more is due now.
    """
    counted = denied_requests.current()
    taken = counted.take(all_of_them=all_of_them)
    if not taken:
        return False
    try:
        with transaction():
            for one in taken:
                _record(event_encoding.denied(one))
    except (sa.exc.SQLAlchemyError, AuditUnavailable) as error:
        counted.put_back(taken)
        logs.failure("audit.denials.failed", error)
    return False


def stop() -> None:
    """Record what waits, and that the writers of this process have ended, before it does."""
    flush_denials(all_of_them=True)
    try:
        while transaction_hooks.pool().any_idle():
            with transaction():
                lease = _lease()
                lease.kept = True
                _add(lease, event_encoding.system(Event.WRITER_STOP, {"kind": "writer"}))
    except (sa.exc.SQLAlchemyError, AuditUnavailable) as error:
        logs.failure("audit.stop.failed", error)


def _record(told: Told) -> UUID:
    return _add(_lease(), told)


def _lease() -> Lease:
    lease = transaction_hooks.borrow(log_name.current())
    if not lease.writer.started:
        _add(lease, event_encoding.start(lease.writer))
    return lease


def _add(lease: Lease, told: Told) -> UUID:
    """Chain one event and insert it.

    :raises AuditUnavailable: it was not inserted, whatever the reason but contention, which
        `operation` retries.
    """
    on_postgresql = postgresql()
    row = event_encoding.next_row(lease.writer, told, origin=lease.origin, postgresql=on_postgresql)
    try:
        inserted = event_encoding.insert(lease.connection, row, postgresql=on_postgresql)
    except sa.exc.DBAPIError as error:
        lease.broken = True
        if is_contention(error):
            raise
        logs.failure("audit.failed", error)
        raise AuditUnavailable from error
    if not inserted:
        lease.broken = True
        logs.warning("audit.lost", typ=told.typ.value)
        raise AuditUnavailable
    lease.rows.append(row)
    return row.event_id
