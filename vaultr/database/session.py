"""Transactions: `transaction()` is the only way to write; the other functions read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from vaultr.app_state import AppSlot
from vaultr.database.base import Base, Fact

db = SQLAlchemy(model_class=Base, session_options={"expire_on_commit": False})

AUTOCOMMIT: Final = AppSlot[sa.Engine]("database.autocommit_engine")
_OPEN = "vaultr_open"
_FAILED = "vaultr_spoilt"
_FACTS: Final = AppSlot[dict[str, bytes]]("database.facts")


@contextmanager
def transaction(*, durable: bool = True, snapshot: bool = False) -> Iterator[Session]:
    """Commit the whole block, or roll it back on an error; joins an open transaction.

    On SQLite it starts with BEGIN IMMEDIATE: otherwise a transaction that reads first and then
    writes would fail if another transaction committed in between, regardless of the busy timeout.

    :param durable: False lets the commit return before it is on disk (PostgreSQL only). If the
        database crashes, such commits of the last second may be lost.
    :param snapshot: all reads see the same moment (REPEATABLE READ; always true on SQLite).
    """
    session = db.session()
    if session.info.get(_OPEN):
        with _inner_block(session):
            yield session
        return
    session.rollback()  # an earlier read must not determine the snapshot
    session.info[_OPEN] = True
    try:
        options = {"isolation_level": "REPEATABLE READ"} if snapshot and postgresql() else {}
        session.connection(execution_options={"writes": True, **options})
        if not durable and postgresql():
            session.execute(sa.text("SET LOCAL synchronous_commit = off"))
        yield session
        if session.info.get(_FAILED):
            raise RuntimeError("a part of this transaction failed, and its error was swallowed")
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info.pop(_OPEN, None)
        session.info.pop(_FAILED, None)


@contextmanager
def _inner_block(session: Session) -> Iterator[None]:
    """Fail the whole transaction if an inner block fails, because its changes may be incomplete."""
    try:
        yield
    except BaseException:
        session.info[_FAILED] = True
        raise


@contextmanager
def reading(*, snapshot: bool = False) -> Iterator[Session]:
    """Read, and end the transaction afterwards; joins an open transaction.

    Loaded objects stay readable afterwards, but are detached from the session.
    """
    session = db.session()
    if session.info.get(_OPEN):
        yield session
        return
    if snapshot:
        session.rollback()
        options = {"isolation_level": "REPEATABLE READ"} if postgresql() else {}
        session.connection(execution_options=options)
    try:
        yield session
    finally:
        session.close()  # a rollback would expire all objects, and reload them on access


@contextmanager
def one_statement() -> Iterator[sa.Connection]:
    """Return a connection in autocommit mode: each statement is its own transaction.

    For frequent reads (the session check, one item) this saves two out of three round trips.
    """
    with AUTOCOMMIT.get().connect() as connection:
        yield connection


def lock_rows(session: Session, statement: sa.Select[Any]) -> None:
    """Run a statement that locks rows.

    This reads the result to its end: on SQLite an unfinished statement keeps its snapshot open.
    """
    session.execute(statement).all()


def in_transaction() -> bool:
    """Return whether a `transaction()` is open."""
    return bool(db.session().info.get(_OPEN))


def postgresql() -> bool:
    """Return whether the database is PostgreSQL (otherwise it is SQLite)."""
    return db.engine.dialect.name == "postgresql"


def fact(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the value stored as ``name``; if there is no value, store the result of ``make``.

    If several processes do this at the same time, the database decides which value counts.
    """
    known = _FACTS.default({})
    if name in known:
        return known[name]
    with transaction() as session:
        row = session.get(Fact, name)
        value = row.value if row is not None else _insert_or_read(session, name, make())
    if not in_transaction():  # otherwise the value may still be rolled back
        known[name] = value
    return value


def _insert_or_read(session: Session, name: str, value: bytes) -> bytes:
    insert = sa.text("INSERT INTO facts (name, value) VALUES (:n, :v) ON CONFLICT DO NOTHING")
    session.execute(insert, {"n": name, "v": value})
    return session.scalars(sa.select(Fact.value).where(Fact.name == name)).one()


def clear_fact_cache() -> None:
    """Clear the cache of facts, because the database was emptied or replaced."""
    _FACTS.clear()
