"""Records in the caller's own statement: saves hot reads two round trips (see `prepared`)."""

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
from vaultr.audit.event_encoding import Row, Told
from vaultr.audit.transaction_hooks import Starter
from vaultr.database.contention import is_contention
from vaultr.observability import logs


@dataclass(slots=True)
class Prepared:
    """An event that waits to be inserted by one statement of the caller's."""

    row: Row
    inserted: bool | None = field(default=None, init=False)

    # Parts of a WITH clause that insert the event if another part has a row.
    ctes = staticmethod(event_encoding.ctes)

    @property
    def event_id(self) -> UUID:
        """Give the event's id."""
        return self.row.event_id

    @property
    def parameters(self) -> dict[str, Any]:
        """Give the parameters of `ctes`; their names begin with ``ev_``."""
        return event_encoding.prefixed(self.row)

    def done(self, *, inserted: bool) -> None:
        """Say what the statement answered: whether ``pend`` had a row.

        Whoever finds a row in the gate, but none in ``pend``, answers nobody: AuditUnavailable.
        """
        self.inserted = inserted


@contextmanager
def prepared(told: Told, start: Starter) -> Iterator[Prepared]:
    """Lend a writer to one statement, which runs on a connection of `one_statement()`.

    Its head moves only if `Prepared.done` says so. Where the outcome is not known, because the
    connection was lost or nothing was said, the writer is given up.

    :raises AuditUnavailable: the statement failed, and nobody else was in the way.
    """
    pool = transaction_hooks.pool()
    writer = _started(pool, start)
    before = writer.state()
    ready = Prepared(
        event_encoding.next_row(writer, told, origin=pool.origin or "", postgresql=True)
    )
    try:
        yield ready
    except sa.exc.DBAPIError as error:
        if surely_undone(error):
            ready.inserted = False
            if not is_contention(error):
                logs.failure("audit.failed", error)
                raise AuditUnavailable from error
        raise
    finally:
        _settle(pool, writer, ready, before)


def _started(pool: Pool, start: Starter) -> Writer:
    """Take a writer whose first event stands already: that one needs a transaction."""
    writer = pool.take(clock.now())
    if writer.started and pool.origin:
        return writer
    pool.give_back(writer)
    return start()


def _settle(pool: Pool, writer: Writer, ready: Prepared, before: Any) -> None:
    if ready.inserted is None:
        pool.drop(writer)
        return
    if ready.inserted:
        transaction_hooks.tell(ready.row)
    else:
        writer.restore(before)
    pool.give_back(writer)


def surely_undone(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the database itself said that it did not do what it was asked for.

    Class 57P is said by a server that goes away, possibly after it has done it.
    """
    code = getattr(error.orig, "pgcode", None)
    return bool(code) and not str(code).startswith("57P") and not error.connection_invalidated
