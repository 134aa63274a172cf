"""Connect to the database: pools, time limits, and the settings of each new connection."""

import contextlib
import contextvars
import select
import sqlite3
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg2
import psycopg2.extensions
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from vaultr.database import prepared_statements, query_comments
from vaultr.database.session import AUTOCOMMIT, db
from vaultr.settings import private_files
from vaultr.settings.model import Settings

STATEMENT_SECONDS = 4.5
LOCK_SECONDS = 2.0
DEADLINE_SECONDS = 5.0
POOL_SECONDS = 2
# Sizes of each pool: connections that stay open, and further connections for a burst. A new
# connection costs PostgreSQL as much as fifty statements (process, caches, plans). With smaller
# pools, four concurrent requests in a worker kept opening new ones.
POOL_SIZE, POOL_OVERFLOW = 8, 8
SQLITE_BUSY_SECONDS = 10.0
SQLITE_LOOK_SECONDS = 0.01

# Maximum duration of one statement; None for commands that may take longer.
deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar(
    "vaultr_database_deadline", default=DEADLINE_SECONDS
)

_EVENTS = {
    psycopg2.extensions.POLL_READ: select.POLLIN,
    psycopg2.extensions.POLL_WRITE: select.POLLOUT,
}


def init_app(app: Flask, settings: Settings) -> None:
    """Create the engines for the database of ``settings``; no connection is opened yet."""
    url, options = split_url(settings.database_url.get_secret_value())
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    db.init_app(app)
    with app.app_context():
        _listen(db.engine)
        if db.engine.dialect.name == "sqlite":
            sa.event.listen(db.engine, "begin", _begin_sqlite)
    # Changing the isolation level of a pooled connection costs two round trips, so single
    # statements have their own pool, always in autocommit mode.
    options |= {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    single = sa.create_engine(
        url, **options | {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW}
    )
    _listen(single)
    if single.dialect.name == "postgresql":
        sa.event.listen(single, "connect", _prefer_indexes)
    may_prepare = plans_allowed(settings.database_url.get_secret_value())
    prepared_statements.ALLOWED.set(app, may_prepare)
    if may_prepare:
        prepared_statements.listen(single, all_statements=True)
        with app.app_context():
            prepared_statements.listen(db.engine, all_statements=False)
    if single.dialect.name == "postgresql":
        query_comments.listen(single)
        with app.app_context():
            query_comments.listen(db.engine)
    AUTOCOMMIT.set(app, single)


def owner_engine(settings: Settings) -> sa.Engine:
    """Return the engine of the tables' owner, for migrations: MIGRATION_DATABASE_URL, if set."""
    if settings.migration_database_url is None:
        return db.engine
    url, options = split_url(settings.migration_database_url.get_secret_value())
    owner = sa.create_engine(url, **options)
    _listen(owner)
    return owner


def engines(app: Flask) -> dict[str, sa.Engine]:
    """Return both engines of ``app`` by the names of their pools, "transactions" and
    "statements".
    """
    with app.app_context():
        return {"transactions": db.engine, "statements": AUTOCOMMIT.get(app)}


def after_fork(app: Flask) -> None:
    """Discard the parent's connections without closing them."""
    with app.app_context():
        db.engine.dispose(close=False)
    AUTOCOMMIT.get(app).dispose(close=False)


def plans_allowed(url: str) -> bool:
    """Return whether statements can stay prepared: only on PostgreSQL without a pooler."""
    return not url.startswith("sqlite") and "prepare=off" not in urlsplit(url).query


def split_url(url: str) -> tuple[str, dict[str, Any]]:
    """Separate the pool's options from the URL, and add the options that the dialect needs."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    query.pop("prepare", None)
    options: dict[str, Any] = {
        "hide_parameters": True,  # otherwise exceptions would contain stored values
        "pool_size": int(query.pop("pool_size", POOL_SIZE)),
        "max_overflow": int(query.pop("max_overflow", POOL_OVERFLOW)),
        "pool_timeout": POOL_SECONDS,
    }
    if url.startswith("sqlite"):
        return url, {**options, "connect_args": {"timeout": SQLITE_BUSY_SECONDS}}
    options |= {
        "pool_recycle": 1800,
        # use few connections, whose PostgreSQL processes stay warm, instead of all in rotation
        "pool_use_lifo": True,
        "executemany_mode": "values_plus_batch",  # send a batch of updates in pages, not one by one
        "connect_args": {
            "connect_timeout": int(query.pop("connect_timeout", 3)),
            "application_name": query.pop("application_name", "vaultr"),
            "keepalives_idle": 30,
        },
    }
    psycopg2.extensions.set_wait_callback(wait)
    return urlunsplit(parts._replace(query=urlencode(query))), options


def wait(connection: Any) -> None:
    """Wait for PostgreSQL, for a limited time.

    If the server's process is stopped, its kernel still acknowledges packets, so no timeout of
    libpq or TCP ends the wait. When this raises, psycopg2 closes the connection.

    :raises psycopg2.OperationalError: no response within ``deadline``.
    """
    limit = deadline.get()
    end = None if limit is None else time.monotonic() + limit
    while True:
        state = connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return
        poller = select.poll()
        poller.register(connection.fileno(), _EVENTS[state])
        left = None if end is None else max(0.0, end - time.monotonic()) * 1000
        if not poller.poll(left):
            raise psycopg2.OperationalError("the database does not respond in time")


class DatabaseUnavailable(Exception):
    """The database does not respond in time, or rejects the statement.

    :ivar sqlstate: PostgreSQL's code of the error; None if it did not respond.
    """

    sqlstate: str | None = None


class TableMissing(Exception):
    """The database has no such table."""


def query_once(statement: str, seconds: float) -> Any:
    """Return the first value of ``statement``, run on a new connection.

    :raises DatabaseUnavailable: no result within ``seconds`` in total.
    :raises TableMissing: the table does not exist.
    """
    dialect = db.engine.dialect
    arguments, options = dialect.create_connect_args(db.engine.url)
    options["timeout" if dialect.name == "sqlite" else "connect_timeout"] = max(1, int(seconds))
    if dialect.name == "sqlite":
        private_files.protect_sqlite(str(arguments[0]))
    end = time.monotonic() + seconds
    outer = deadline.set(seconds)
    try:
        with contextlib.closing(dialect.connect(*arguments, **options)) as connection:
            deadline.set(max(0.0, end - time.monotonic()))
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(statement)
                row = cursor.fetchone()
    except dialect.loaded_dbapi.Error as error:
        sqlstate = getattr(error, "pgcode", None)
        if sqlstate == "42P01" or "no such table" in str(error):
            raise TableMissing from None
        unavailable = DatabaseUnavailable()
        unavailable.sqlstate = sqlstate
        raise unavailable from None
    finally:
        deadline.reset(outer)
    return row[0] if row else None


def _listen(engine: sa.Engine) -> None:
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "do_connect", _protect_file)
        sa.event.listen(engine, "connect", _configure_sqlite)
    else:
        sa.event.listen(engine, "connect", _configure_postgresql)
        sa.event.listen(engine, "checkout", _check_socket)


def _protect_file(_dialect: Any, _entry: Any, arguments: Any, _options: Any) -> None:
    private_files.protect_sqlite(str(arguments[0]))


def _configure_sqlite(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver must not begin or commit by itself
    connection.execute("PRAGMA foreign_keys=ON")
    _enable_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _enable_wal(connection: Any) -> None:
    """Switch a new database to WAL, even if other processes do the same.

    Two processes that hold a read lock and want to write the file's header would deadlock. So
    SQLite rejects one of the processes immediately, regardless of the busy timeout.

    :raises sqlite3.OperationalError: another process kept the file locked.
    """
    end = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > end:
                raise
        time.sleep(SQLITE_LOOK_SECONDS)


def _begin_sqlite(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _configure_postgresql(connection: Any, _entry: ConnectionPoolEntry) -> None:
    limits = (
        f"SET statement_timeout = {int(STATEMENT_SECONDS * 1000)}; "
        f"SET lock_timeout = {int(LOCK_SECONDS * 1000)}; "
        "SET idle_in_transaction_session_timeout = 60000; SET timezone = 'UTC'"
    )
    with connection.cursor() as cursor:
        cursor.execute(limits)
    if not connection.autocommit:
        connection.commit()


def _prefer_indexes(connection: Any, _entry: ConnectionPoolEntry) -> None:
    """Make autocommitted statements, which find rows by key, use indexes even for small tables.

    A plan is cached until its connection closes or PostgreSQL analyses the table again. A plan made
    while the table had one page would scan the whole table, even after it has grown to a thousand
    pages.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET jit = off")


def _check_socket(
    connection: Any, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Detect a connection that the server has closed, in microseconds instead of a round trip.

    An idle connection has nothing to read. If its socket is readable, the server has closed it (or
    its protocol is out of sync), and the pool opens another one.
    """
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    if poller.poll(0):
        raise sa.exc.InvalidatePoolError
