"""The hottest statements: PostgreSQL's driver alone, prepared once a connection.

SQLAlchemy's execution (a context, a result, its rows) costs more than such a statement itself.
Measured beside each other on two busy cores, for one that finds a vault's revision: 310 µs through
`one_statement`, 125 µs here. Pool, checks of what comes out of it, and errors are SQLAlchemy's.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final, Self, cast

import psycopg2
import psycopg2.extras
import sqlalchemy as sa
from sqlalchemy.pool import PoolProxiedConnection

from vaultr.database import prepared_statements, query_comments
from vaultr.database.session import AUTOCOMMIT

CURSOR: Final = psycopg2.extras.NamedTupleCursor


class Rows(list[Any]):
    """The rows of a statement, each a named tuple."""

    def one(self) -> Any:
        """Return the one row that there must be."""
        (row,) = self
        return row

    def all(self) -> "Rows":
        """Return all rows, as SQLAlchemy's results do."""
        return self

    def scalar_one(self) -> Any:
        """Return the first value of the one row that there must be."""
        return self.one()[0]


class Line:
    """One connection for a few statements, taken at the first and given back at the end.

    with bare.Line() as line:
        found = line.run("SELECT …", {…})
        line.run("UPDATE …", {…})
    """

    def __init__(self) -> None:
        self._single = AUTOCOMMIT.get()
        self._connection: PoolProxiedConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def run(self, text: str, values: Mapping[str, Any]) -> Rows:
        """Run one statement in a transaction of its own, as `run` does."""
        connection = self._taken(text)
        return _run(connection, connection, self._single, text, values)

    def _taken(self, text: str) -> PoolProxiedConnection:
        if self._connection is None or not self._connection.is_valid:
            try:
                self._connection = self._single.raw_connection()
            except psycopg2.Error as error:
                raise _told(text, error, self._single, lost=True) from error
        return self._connection


def run(text: str, values: Mapping[str, Any]) -> Rows:
    """Run one statement in a transaction of its own; ``values`` may hold more than it asks for.

    Values come as the driver gives them: select ids and times as text.

    :param text: as psycopg2 takes it, with ``%(name)s``.
    :raises sqlalchemy.exc.DBAPIError: what goes wrong, as SQLAlchemy's own execution raises it.
    """
    with Line() as line:
        return line.run(text, values)


def within(connection: sa.Connection, text: str, values: Mapping[str, Any]) -> Rows:
    """Run a script in the transaction of ``connection``, and give the rows of its last statement.

    :raises sqlalchemy.exc.DBAPIError: as `run`.
    """
    return _run(connection.connection, connection, connection.engine, text, values)


def _run(
    proxied: PoolProxiedConnection,
    owner: PoolProxiedConnection | sa.Connection,
    engine: sa.Engine,
    text: str,
    values: Mapping[str, Any],
) -> Rows:
    """Run a statement; ``owner`` is told where nobody may use the connection any more."""
    try:
        return _executed(proxied, text, values)
    except psycopg2.Error as error:
        lost = engine.dialect.is_disconnect(cast(Any, error), proxied.dbapi_connection, None)
        if lost:
            owner.invalidate(error)
        raise _told(text, error, engine, lost=lost) from error
    except BaseException as error:
        owner.invalidate(error)  # who knows what it still waits for
        raise


def _executed(connection: PoolProxiedConnection, text: str, values: Mapping[str, Any]) -> Rows:
    plan = prepared_statements.plan_of(text) if prepared_statements.ALLOWED.get() else None
    with closing(connection.cursor(cursor_factory=CURSOR)) as cursor:
        if plan is not None:
            prepared_statements.prepare(connection.info, cursor, plan)
        cursor.execute(query_comments.tagged(text if plan is None else plan.execute), values)
        return Rows(cursor.fetchall() if cursor.description else ())


def _told(text: str, error: psycopg2.Error, engine: sa.Engine, *, lost: bool) -> BaseException:
    """Return what SQLAlchemy raises where the driver raises this; it tells no values."""
    told = sa.exc.DBAPIError.instance(
        text,
        None,
        error,
        psycopg2.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=engine.dialect,
    )
    return cast(BaseException, told)
