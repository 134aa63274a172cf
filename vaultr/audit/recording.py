"""Record an event in the transaction of the change that it describes."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr import request_context
from vaultr.audit import denied_requests, event_encoding, inline_insert, log_name, transaction_hooks
from vaultr.audit.chain_pool import Writer
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.event_encoding import EventFields
from vaultr.audit.events import Event
from vaultr.audit.inline_insert import Prepared
from vaultr.audit.models import AuditEvent
from vaultr.audit.transaction_hooks import Binding
from vaultr.database.contention import is_contention
from vaultr.database.session import postgresql, transaction
from vaultr.errors import ServiceError
from vaultr.observability import logs, metrics
from vaultr.request_context import Actor


@dataclass(frozen=True, slots=True)
class Denial:
    """The event of an error, recorded after the error has rolled back its transaction."""

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
    """Record an event in this transaction: both commit, or neither does.

    :param account_id: the subject; None for an anonymous request or, outside of a request, the
        system.
    :param actor: who acted, if not the authenticated sender of the request.
    :param obj: object kind, id and further facts: texts, whole numbers, lists, objects.
    :param out: ``ok``, ``deny`` or ``error``; ``reason`` is a reason code.
    :return: the event's id; important rows store it as ``audit_event_id``.
    :raises AuditUnavailable: the event cannot be recorded, and the transaction must roll back.
    :raises RuntimeError: outside of `transaction()`, or inside of a savepoint.
    """
    fields = event_encoding.fields_of(
        event,
        account_id=account_id,
        actor=actor,
        obj=obj,
        out=out,
        reason=reason,
        session_id=session_id,
    )
    return _record(fields)


def prepared(
    event: Event,
    *,
    account_id: UUID,
    actor: Actor | None = None,
    obj: Mapping[str, Any] | None = None,
) -> AbstractContextManager[Prepared]:
    """Prepare an event that the caller's statement inserts; needs PostgreSQL, no transaction.

    SQL = f"WITH gate AS (SELECT …), {Prepared.ctes('gate')} SELECT …, EXISTS (SELECT 1 FROM pend)"

    with audit.prepared(Event.ITEM_READ, account_id=…, obj=…) as event, one_statement() as one:
        row = one.execute(sa.text(SQL), {…, **event.parameters}).one()
        event.done(inserted=row.exists)

    :raises AuditUnavailable: the statement failed for a reason other than contention.
    """
    fields = event_encoding.fields_of(
        event,
        account_id=account_id,
        actor=actor,
        obj=obj,
        out="ok",
        reason=None,
        session_id=None,
    )
    return inline_insert.prepared(fields, _start)


def _start() -> Writer:
    with transaction():
        binding = _binding()
        binding.reserved = True
    return binding.writer


def record_error(error: ServiceError) -> None:
    """Record the event that an error carries, in its own transaction.

    :raises AuditUnavailable: the event cannot be recorded; the client receives this error instead.
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
    """Check whether events exist about an account, even a deleted one.

    A new account with that id could read the events of the deleted one.
    """
    with transaction() as session:
        about = sa.exists().where(AuditEvent.sub == str(account_id))
        return session.execute(sa.select(about)).scalar_one()


def count_denial(reason: str) -> None:
    """Count a request denied by authentication or a limit; it is recorded after its minute ends."""
    metrics.DENIED.labels(reason).inc()
    denied_requests.current().count(reason, request_context.current_origin().network)


def flush_denials(*, all_of_them: bool = False) -> bool:
    """Record the counts of denied requests; if that fails, keep them for the next time.

    :return: False, because nothing is left to do.
    """
    counted = denied_requests.current()
    taken = counted.take(all_of_them=all_of_them)
    if not taken:
        return False
    try:
        with transaction():
            for group in taken:
                _record(event_encoding.denied(group))
    except (sa.exc.SQLAlchemyError, AuditUnavailable) as error:
        counted.put_back(taken)
        logs.failure("audit.denials.failed", error)
    return False


def record_system(event: Event, obj: Mapping[str, Any], *, by: str = "system") -> UUID:
    """Record an event of the log itself, or of an operator (``by``), in this transaction."""
    return _record(event_encoding.system(event, obj, by=by))


def stop() -> None:
    """Record pending counts, and that this process's writers stop."""
    flush_denials(all_of_them=True)
    try:
        while transaction_hooks.pool().any_idle():
            with transaction():
                binding = _binding()
                binding.reserved = True
                _add(binding, event_encoding.system(Event.WRITER_STOP, {"kind": "writer"}))
    except (sa.exc.SQLAlchemyError, AuditUnavailable) as error:
        logs.failure("audit.stop.failed", error)


def _record(fields: EventFields) -> UUID:
    return _add(_binding(), fields)


def _binding() -> Binding:
    binding = transaction_hooks.bind(log_name.current())
    if not binding.writer.started:
        _add(binding, event_encoding.start(binding.writer))
    return binding


def _add(binding: Binding, fields: EventFields) -> UUID:
    """Chain one event and insert it.

    :raises AuditUnavailable: the insert failed for a reason other than contention, which
        `operation` retries.
    """
    on_postgresql = postgresql()
    row = event_encoding.next_row(
        binding.writer, fields, origin=binding.origin, postgresql=on_postgresql
    )
    try:
        inserted = event_encoding.insert(binding.connection, row, postgresql=on_postgresql)
    except sa.exc.DBAPIError as error:
        binding.broken = True
        if is_contention(error):
            raise
        logs.failure("audit.failed", error)
        raise AuditUnavailable from error
    if not inserted:
        binding.broken = True
        logs.warning("audit.lost", typ=fields.typ.value)
        raise AuditUnavailable
    binding.rows.append(row)
    return row.event_id
