"""Record an event within the caller's own statement, which saves two round trips."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit import event_encoding, transaction_hooks
from vaultr.audit.chain_pool import Pool, Writer
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.event_encoding import EventFields, EventRow
from vaultr.audit.transaction_hooks import Starter
from vaultr.database.contention import is_contention
from vaultr.observability import logs


@dataclass(slots=True)
class Prepared:
    """An event that the caller's statement inserts."""

    row: EventRow
    inserted: bool | None = field(default=None, init=False)

    # Parts of a WITH clause that insert the event if another part has a row.
    ctes = staticmethod(event_encoding.ctes)

    @property
    def event_id(self) -> UUID:
        """Return the event's id."""
        return self.row.event_id

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the parameters of `ctes`; their names begin with ``ev_``."""
        return event_encoding.prefixed(self.row)

    def done(self, *, inserted: bool) -> None:
        """Report whether ``pend`` had a row, that is, whether the event was inserted.

        If the gate has a row and ``pend`` has none, the caller must raise AuditUnavailable.
        """
        self.inserted = inserted


@contextmanager
def prepared(fields: EventFields, start: Starter) -> Iterator[Prepared]:
    """Reserve a writer for one statement, which runs on a connection of `one_statement()`.

    The head advances only if `Prepared.done` reports the insert. If the connection was lost or
    `done` was not called, the outcome is unknown and the writer is abandoned.

    :raises AuditUnavailable: the statement failed for a reason other than contention.
    """
    pool = transaction_hooks.pool()
    writer = _started(pool, start)
    before = writer.state()
    prepared_event = Prepared(
        event_encoding.next_row(writer, fields, origin=pool.origin or "", postgresql=True)
    )
    try:
        yield prepared_event
    except sa.exc.DBAPIError as error:
        if certainly_undone(error):
            prepared_event.inserted = False
            if not is_contention(error):
                logs.failure("audit.failed", error)
                raise AuditUnavailable from error
        raise
    finally:
        _settle(pool, writer, prepared_event, before)


def _started(pool: Pool, start: Starter) -> Writer:
    """Take a writer whose first event is committed; only a transaction can commit that event."""
    writer = pool.take(clock.now())
    if writer.started and pool.origin:
        return writer
    pool.give_back(writer)
    return start()


def _settle(pool: Pool, writer: Writer, prepared_event: Prepared, before: Any) -> None:
    if prepared_event.inserted is None:
        pool.drop(writer)
        return
    if prepared_event.inserted:
        transaction_hooks.committed(writer, prepared_event.row)
    else:
        writer.restore(before)
    pool.give_back(writer)


def certainly_undone(error: sa.exc.DBAPIError) -> bool:
    """Check whether the database reported that it did not execute the statement.

    A server that shuts down reports class 57P, possibly after it executed the statement.
    """
    code = getattr(error.orig, "pgcode", None)
    return bool(code) and not str(code).startswith("57P") and not error.connection_invalidated
