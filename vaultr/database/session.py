"""The one way to change the database: `transaction()`; and two cheaper ways to read it."""

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
_SPOILT = "vaultr_spoilt"
_FACTS: Final = AppSlot[dict[str, bytes]]("database.facts")


@contextmanager
def transaction(*, durable: bool = True, snapshot: bool = False) -> Iterator[Session]:
    """Do everything inside, or nothing of it; joins a transaction that is already open.

    On SQLite it opens with BEGIN IMMEDIATE: a writer that begins by reading would fail at once
    when another committed in between, whatever the busy timeout.

    :param durable: False lets the commit return before the disk has it (PostgreSQL only); a crash
        of the database may then lose it, under a second of such commits.
    :param snapshot: all reads see one moment (REPEATABLE READ; SQLite's transactions always do).
    """
    session = db.session()
    if session.info.get(_OPEN):
        with _joined(session):
            yield session
        return
    session.rollback()  # a read before this must not decide what is seen inside
    session.info[_OPEN] = True
    try:
        options = {"isolation_level": "REPEATABLE READ"} if snapshot and postgresql() else {}
        session.connection(execution_options={"writes": True, **options})
        if not durable and postgresql():
            session.execute(sa.text("SET LOCAL synchronous_commit = off"))
        yield session
        if session.info.get(_SPOILT):
            raise RuntimeError("a part of this transaction failed, and nobody let it fail")
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info.pop(_OPEN, None)
        session.info.pop(_SPOILT, None)


@contextmanager
def _joined(session: Session) -> Iterator[None]:
    """Let an inner part that fails spoil the whole: half of it may be done already."""
    try:
        yield
    except BaseException:
        session.info[_SPOILT] = True
        raise


@contextmanager
def reading(*, snapshot: bool = False) -> Iterator[Session]:
    """Read, and leave no transaction open behind; joins one that is already open.

    What was loaded can still be looked at afterwards, but belongs to no session any more.
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
        session.close()  # a rollback would make every object ask the database again


@contextmanager
def one_statement() -> Iterator[sa.Connection]:
    """Return a connection on which each statement is its own transaction: no BEGIN, no COMMIT.

    For hot reads (the session check, one item): it saves two of three round trips.
    """
    with AUTOCOMMIT.get().connect() as connection:
        yield connection


def lock_rows(work: Session, statement: sa.Select[Any]) -> None:
    """Run a statement for the sake of the rows that it locks.

    It is read to its end: on SQLite the snapshot of one that is not stays open with its connection.
    """
    work.execute(statement).all()


def in_transaction() -> bool:
    """Check whether `transaction()` is open here."""
    return bool(db.session().info.get(_OPEN))


def postgresql() -> bool:
    """Check whether the database is PostgreSQL (else it is SQLite)."""
    return db.engine.dialect.name == "postgresql"


def fact(name: str, make: Callable[[], bytes]) -> bytes:
    """Return the value stored as ``name``; ``make`` generates it first.

    The database decides which of several first calls wins.
    """
    known = _FACTS.default({})
    if name in known:
        return known[name]
    with transaction() as session:
        row = session.get(Fact, name)
        value = row.value if row is not None else _drawn(session, name, make())
    if not in_transaction():  # else it may still be undone
        known[name] = value
    return value


def _drawn(session: Session, name: str, value: bytes) -> bytes:
    insert = sa.text("INSERT INTO facts (name, value) VALUES (:n, :v) ON CONFLICT DO NOTHING")
    session.execute(insert, {"n": name, "v": value})
    return session.scalars(sa.select(Fact.value).where(Fact.name == name)).one()


def forget_facts() -> None:
    """Read facts anew: the database was emptied, or is another."""
    _FACTS.clear()
