"""A transaction borrows a writer at its first record, and how it ends decides the writer's head."""

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
from vaultr.audit.event_encoding import Row
from vaultr.database.session import AUTOCOMMIT, db, in_transaction
from vaultr.observability import logs
from vaultr.settings.model import Settings

_POOL: Final = AppSlot[Pool]("audit.chain_pool")
_LEASE = "vaultr_audit_lease"
_thread = threading.local()

# Gives a writer whose first event was committed; nobody else has it.
Starter = Callable[[], Writer]


@dataclass(slots=True, eq=False)
class Lease:
    """A writer in the hands of one transaction."""

    pool: Pool
    writer: Writer
    connection: sa.Connection
    before: tuple[int, bytes, datetime]
    origin: str
    rows: list[Row] = field(default_factory=list)
    kept: bool = False  # not given back after the COMMIT: somebody goes on with it, or nobody
    broken: bool = False  # a record failed, so this transaction must not be committed
    sent: bool = False  # COMMIT was sent
    committed: bool = False


def init_app(app: Flask, _settings: Settings) -> None:
    """Give the app its writers, and tell them of each COMMIT and of lost connections."""
    pool = _POOL.set(app, Pool())

    def lost(*_: Any) -> None:
        pool.drop_all()

    with app.app_context():
        sa.event.listen(db.engine, "commit", _commit_is_sent)
        sa.event.listen(db.engine, "invalidate", lost)
        sa.event.listen(AUTOCOMMIT.get(app), "invalidate", lost)


def pool() -> Pool:
    """Give the writers of the running app."""
    return _POOL.get()


def borrow(origin: str) -> Lease:
    """Give the lease of the transaction that is open here, borrowing a writer at its first record.

    :raises RuntimeError: no transaction is open, or a savepoint is, which may be undone alone.
    """
    if not in_transaction():
        raise RuntimeError("a record is made inside of transaction()")
    session = db.session()
    connection = session.connection()
    if session.in_nested_transaction() or connection.in_nested_transaction():
        raise RuntimeError("no record is made inside of a savepoint, which may be undone alone")
    lease: Lease | None = session.info.get(_LEASE)
    if lease is None:
        writers = pool()
        writer = writers.take(clock.now())
        lease = Lease(writers, writer, connection, writer.state(), origin)
        session.info[_LEASE] = lease
    return lease


@sa.event.listens_for(db.session, "before_commit")
def _before_commit(session: Session) -> None:
    lease: Lease | None = session.info.get(_LEASE)
    if lease is not None and lease.broken:
        raise AuditUnavailable
    _thread.lease = lease


def _commit_is_sent(connection: sa.Connection) -> None:
    """Note that from now on only the database's answer tells whether the events stand.

    PostgreSQL answers COMMIT with a silent ROLLBACK when a statement has failed before.
    """
    lease: Lease | None = getattr(_thread, "lease", None)
    if lease is None or lease.connection is not connection:
        return
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.dbapi_connection
        if driver.get_transaction_status() == TRANSACTION_STATUS_INERROR:
            raise RuntimeError("a statement has failed, so this transaction cannot be committed")
    lease.sent = True


@sa.event.listens_for(db.session, "after_commit")
def _after_commit(session: Session) -> None:
    lease: Lease | None = session.info.get(_LEASE)
    if lease is not None and lease.sent:  # not so when only a savepoint was released
        lease.committed = True


@sa.event.listens_for(db.session, "after_transaction_end")
def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is not None:
        return
    _thread.lease = None
    lease: Lease | None = session.info.pop(_LEASE, None)
    if lease is not None:
        _settle(lease)


def _settle(lease: Lease) -> None:
    if lease.committed:
        lease.pool.origin = lease.origin
        if not lease.kept:
            lease.pool.give_back(lease.writer)
        for row in lease.rows:
            tell(row)
    elif lease.sent:
        lease.pool.drop(lease.writer)
    else:
        lease.writer.restore(lease.before)
        lease.pool.give_back(lease.writer)


def tell(row: Row) -> None:
    """Copy a committed event to the log, as far as that goes: the copy is best effort."""
    values = row.values
    logs.event(
        "audit",
        typ=values["typ"],
        record=values["body"].decode(),
        hash=values["event_hash"].hex(),
    )
