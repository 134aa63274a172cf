"""Settings of new connections, the start of SQLite transactions, and time limits of PostgreSQL."""

import contextlib
import sqlite3
import threading
import time

import psycopg2
import pytest
import sqlalchemy as sa

from tests.harness import app_fixtures
from tests.harness.timing import quickest
from vaultr.app import create_app
from vaultr.database import engine
from vaultr.database.base import Fact
from vaultr.database.session import AUTOCOMMIT, db, one_statement, reading, transaction
from vaultr.settings.model import Settings


@pytest.fixture
def on_sqlite(sqlite_app):
    app_fixtures.empty(sqlite_app)
    with sqlite_app.app_context():
        yield sqlite_app


# The server's real values; other API tests wait longer.
LIMITS = {name: getattr(engine, name) for name in ("LOCK_SECONDS", "STATEMENT_SECONDS")}


@pytest.fixture
def on_postgres(postgres_app, monkeypatch):
    for name, seconds in LIMITS.items():
        monkeypatch.setattr(engine, name, seconds)
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        yield postgres_app


@pytest.fixture
def fresh_pools(on_postgres):
    """Use new connection pools that end with the test."""
    pools = (db.engine, AUTOCOMMIT.get(on_postgres))
    for pool in pools:
        pool.dispose()
    yield
    for pool in pools:
        pool.dispose()


def write():
    with transaction() as session:
        session.add(Fact(name="a", value=b"1"))


def read():
    with reading() as session:
        session.scalars(sa.select(Fact.name)).all()


def sent_by(work, pool):
    """List the statements that reach the SQLite driver while ``work`` runs."""
    sent = []

    def trace(driver, *_):
        driver.set_trace_callback(sent.append)

    def still(driver, *_):
        driver.set_trace_callback(None)

    sa.event.listen(pool, "checkout", trace)
    sa.event.listen(pool, "checkin", still)
    try:
        work()
    finally:
        sa.event.remove(pool, "checkout", trace)
        sa.event.remove(pool, "checkin", still)
    return [text.partition(" (")[0] for text in sent]


def test_sqlite_writes_begin_immediate_and_reads_do_not(on_sqlite):
    writing, looking = sent_by(write, db.engine), sent_by(read, db.engine)

    assert (writing[0], writing[-1]) == ("BEGIN IMMEDIATE", "COMMIT")
    assert (looking[0], looking[-1]) == ("BEGIN", "ROLLBACK")


def test_single_sqlite_statement_runs_without_transaction(on_sqlite):
    def ask():
        with one_statement() as connection:
            connection.execute(sa.text("SELECT 1"))

    assert sent_by(ask, AUTOCOMMIT.get(on_sqlite)) == ["SELECT 1"]


@pytest.mark.parametrize("which", ["pooled", "single"])
def test_every_sqlite_connection_gets_its_pragmas(on_sqlite, which):
    pool = db.engine if which == "pooled" else AUTOCOMMIT.get(on_sqlite)
    with pool.connect() as connection:
        reported = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("foreign_keys", "journal_mode", "busy_timeout", "synchronous")
        }

    full = 2
    assert reported == {
        "foreign_keys": 1,
        "journal_mode": "wal",
        "busy_timeout": 10_000,
        "synchronous": full,
    }


def test_new_sqlite_database_waits_for_another_writer(tmp_path):
    """Here SQLite itself rejects immediately, regardless of its busy timeout, so processes that
    start at the same moment in an empty folder would fail.
    """
    app = create_app(Settings.from_environ(app_fixtures.environ_for(tmp_path)))
    other = sqlite3.connect(
        tmp_path / "vaultr.sqlite3", isolation_level=None, check_same_thread=False
    )
    with contextlib.closing(other), app.app_context():
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, other.rollback)
        timer.start()

        with db.engine.connect() as connection:
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()

        timer.join()
        db.engine.dispose()
    assert mode == "wal"


@pytest.mark.parametrize("which", ["pooled", "single"])
def test_every_postgresql_connection_gets_its_limits(on_postgres, fresh_pools, which):
    pool = db.engine if which == "pooled" else AUTOCOMMIT.get(on_postgres)
    with pool.connect() as connection:
        reported = [
            connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("statement_timeout", "lock_timeout", "timezone", "application_name")
        ]

    assert reported == ["4500ms", "2s", "UTC", "vaultr"]


def test_pool_sizes_follow_url_or_threads():
    url, options = engine.split_url("postgresql+psycopg2://u@h/d?pool_size=20&max_overflow=10")

    assert url == "postgresql+psycopg2://u@h/d"
    assert (options["pool_size"], options["max_overflow"]) == (20, 10)
    _, usual = engine.split_url("postgresql+psycopg2://u@h/d?sslmode=require")
    assert usual["pool_size"] + usual["max_overflow"] == 16
    assert usual["hide_parameters"] is True


def test_database_error_hides_statement_parameters(on_postgres):
    with pytest.raises(sa.exc.DBAPIError) as error, one_statement() as connection:
        connection.execute(sa.text("SELECT CAST(:secret AS text), 1/0"), {"secret": "hunter2"})

    assert "hunter2" not in str(error.value)
    assert "hidden due to hide_parameters" in str(error.value)


def test_statement_waits_no_longer_than_the_deadline(time_limit, on_postgres):
    def wait():
        outer = engine.deadline.set(0.3)
        began = time.monotonic()
        try:
            with pytest.raises(sa.exc.OperationalError), one_statement() as connection:
                connection.execute(sa.text("SELECT pg_sleep(3)"))
        finally:
            engine.deadline.reset(outer)
        assert time.monotonic() - began >= 0.3

    assert quickest(wait, within=time_limit(1)) < time_limit(1)
    with one_statement() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


def test_statement_without_deadline_has_no_time_limit(on_postgres):
    outer = engine.deadline.set(None)
    try:
        with one_statement() as connection:
            began = time.monotonic()
            connection.execute(sa.text("SELECT pg_sleep(0.2)"))
    finally:
        engine.deadline.reset(outer)

    assert time.monotonic() - began >= 0.2


def interrupt_a_statement():
    def interrupted(_connection):
        raise KeyboardInterrupt

    with transaction() as session:
        session.execute(sa.text("SELECT 1"))
        psycopg2.extensions.set_wait_callback(interrupted)
        try:
            session.execute(sa.text("SELECT 2"))
        finally:
            psycopg2.extensions.set_wait_callback(engine.wait)


def test_interrupted_wait_closes_only_its_connection(on_postgres):
    with pytest.raises(KeyboardInterrupt):
        interrupt_a_statement()

    with transaction() as session:
        assert session.scalar(sa.text("SELECT 3")) == 3
    assert db.engine.pool.checkedout() == 0


def test_snapshot_write_detects_concurrent_write(on_postgres):
    write()

    def overtaken():
        with transaction(snapshot=True) as session:
            row = session.get(Fact, "a")
            with db.engine.begin() as other:
                other.execute(sa.text("UPDATE facts SET value = 'x'"))
            row.value = b"2"

    with pytest.raises(sa.exc.OperationalError):
        overtaken()
    with reading() as session:
        assert session.get(Fact, "a").value == b"x"
