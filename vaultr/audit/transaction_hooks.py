"""Bind a writer to a transaction, from its first event to the commit."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from flask import Flask
from psycopg2.extensions import TRANSACTION_STATUS_INERROR
from sqlalchemy.orm import Session, SessionTransaction

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.audit.chain_pool import Pool, Writer
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.event_encoding import EventRow
from vaultr.database.session import AUTOCOMMIT, db, in_transaction
from vaultr.observability import logs
from vaultr.settings.model import Settings

_POOL: Final = AppSlot[Pool]("audit.chain_pool")
_BINDING = "vaultr_audit_binding"
_thread = threading.local()

# Returns a writer that is not in the pool and whose first event is committed.
Starter = Callable[[], Writer]


@dataclass(slots=True, eq=False)
class Binding:
    """A writer that a transaction uses."""

    pool: Pool
    writer: Writer
    connection: sa.Connection
    before: tuple[int, bytes, datetime]
    origin: str
    rows: list[EventRow] = field(default_factory=list)
    reserved: bool = False  # do not return it to the pool after COMMIT
    broken: bool = False  # recording failed, so the transaction must not commit
    sent: bool = False  # COMMIT was sent
    committed: bool = False


def init_app(app: Flask, _settings: Settings) -> None:
    """Create the pool, and listen for commits and lost connections."""
    pool = _POOL.set(app, Pool())

    def abandon(*_: Any) -> None:
        pool.drop_all()

    with app.app_context():
        sa.event.listen(db.engine, "commit", _commit_is_sent)
        sa.event.listen(db.engine, "invalidate", abandon)
        sa.event.listen(AUTOCOMMIT.get(app), "invalidate", abandon)


def pool() -> Pool:
    """Return the pool of the running app."""
    return _POOL.get()


def bind(origin: str) -> Binding:
    """Return the binding of the current transaction; take a writer for its first event.

    :raises RuntimeError: no transaction is open, or a savepoint is open, which could roll back
        alone.
    """
    if not in_transaction():
        raise RuntimeError("events are recorded inside of transaction()")
    session = db.session()
    connection = session.connection()
    if session.in_nested_transaction() or connection.in_nested_transaction():
        raise RuntimeError("no event is recorded inside of a savepoint, which can roll back alone")
    binding: Binding | None = session.info.get(_BINDING)
    if binding is None:
        writers = pool()
        writer = writers.take(clock.now())
        binding = Binding(writers, writer, connection, writer.state(), origin)
        session.info[_BINDING] = binding
    return binding


@sa.event.listens_for(db.session, "before_commit")
def _before_commit(session: Session) -> None:
    binding: Binding | None = session.info.get(_BINDING)
    if binding is not None and binding.broken:
        raise AuditUnavailable
    _thread.binding = binding


def _commit_is_sent(connection: sa.Connection) -> None:
    """Record that COMMIT was sent: from now on only the database knows the outcome.

    PostgreSQL silently turns COMMIT into ROLLBACK if an earlier statement has failed.
    """
    binding: Binding | None = getattr(_thread, "binding", None)
    if binding is None or binding.connection is not connection:
        return
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.dbapi_connection
        if driver.get_transaction_status() == TRANSACTION_STATUS_INERROR:
            raise RuntimeError("a statement has failed, so this transaction cannot be committed")
    binding.sent = True


@sa.event.listens_for(db.session, "after_commit")
def _after_commit(session: Session) -> None:
    binding: Binding | None = session.info.get(_BINDING)
    if binding is not None and binding.sent:  # false if only a savepoint was released
        binding.committed = True


@sa.event.listens_for(db.session, "after_transaction_end")
def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is not None:
        return
    _thread.binding = None
    binding: Binding | None = session.info.pop(_BINDING, None)
    if binding is not None:
        _settle(binding)


def _settle(binding: Binding) -> None:
    if binding.committed:
        binding.pool.origin = binding.origin
        if not binding.reserved:
            binding.pool.give_back(binding.writer)
        for row in binding.rows:
            committed(binding.writer, row)
    elif binding.sent:
        binding.pool.drop(binding.writer)
    else:
        binding.writer.restore(binding.before)
        binding.pool.give_back(binding.writer)


def committed(writer: Writer, row: EventRow) -> None:
    """Store a committed event for the self-audit, and copy it to the log stream (best effort)."""
    writer.recent.append((row.event_id, row.values["event_hash"]))
    values = row.values
    logs.event(
        "audit",
        typ=values["typ"],
        record=values["body"].decode(),
        hash=values["event_hash"].hex(),
    )
