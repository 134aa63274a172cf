"""The most frequent statements, run by PostgreSQL's driver directly and prepared.

SQLAlchemy's execution (context, result, rows) takes longer than such a statement itself. Measured
side by side on two busy cores, for the statement that reads a vault's revision: 310 µs through
`one_statement`, 125 µs here. SQLAlchemy still provides the pools, their checks and the errors.
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
        """Return the only row."""
        (row,) = self
        return row

    def all(self) -> "Rows":
        """Return all rows, like SQLAlchemy's results."""
        return self

    def scalar_one(self) -> Any:
        """Return the first value of the only row."""
        return self.one()[0]


class AutocommitConnection:
    """One connection for several autocommitted statements, taken from the pool when first used.

    with AutocommitConnection() as connection:
        found = connection.run("SELECT …", {…})
        connection.run("UPDATE …", {…})
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
        """Run one statement in its own transaction, like the function `run`."""
        connection = self._get_connection(text)
        return _run(connection, connection, self._single, text, values)

    def _get_connection(self, text: str) -> PoolProxiedConnection:
        if self._connection is None or not self._connection.is_valid:
            try:
                self._connection = self._single.raw_connection()
            except psycopg2.Error as error:
                raise _sqlalchemy_error(text, error, self._single, lost=True) from error
        return self._connection


def run(text: str, values: Mapping[str, Any]) -> Rows:
    """Run one statement in its own transaction; ``values`` may contain more than the text uses.

    The rows contain values as the driver returns them, so select ids and times as text.

    :param text: in psycopg2's format, with ``%(name)s``.
    :raises sqlalchemy.exc.DBAPIError: any error, as SQLAlchemy's own execution raises it.
    """
    with AutocommitConnection() as connection:
        return connection.run(text, values)


def run_within(connection: sa.Connection, text: str, values: Mapping[str, Any]) -> Rows:
    """Run a script in the transaction of ``connection``, and return the rows of its last statement.

    :raises sqlalchemy.exc.DBAPIError: see `run`.
    """
    return _run(connection.connection, connection, connection.engine, text, values)


def _run(
    proxied: PoolProxiedConnection,
    owner: PoolProxiedConnection | sa.Connection,
    engine: sa.Engine,
    text: str,
    values: Mapping[str, Any],
) -> Rows:
    """Run a statement; invalidate ``owner`` if the connection is lost or its state is unknown."""
    try:
        return _executed(proxied, text, values)
    except psycopg2.Error as error:
        lost = engine.dialect.is_disconnect(cast(Any, error), proxied.dbapi_connection, None)
        if lost:
            owner.invalidate(error)
        raise _sqlalchemy_error(text, error, engine, lost=lost) from error
    except BaseException as error:
        owner.invalidate(error)  # the connection may still wait for a response
        raise


def _executed(connection: PoolProxiedConnection, text: str, values: Mapping[str, Any]) -> Rows:
    plan = prepared_statements.plan_of(text) if prepared_statements.ALLOWED.get() else None
    with closing(connection.cursor(cursor_factory=CURSOR)) as cursor:
        if plan is not None:
            prepared_statements.prepare(connection.info, cursor, plan)
        cursor.execute(query_comments.tagged(text if plan is None else plan.execute), values)
        return Rows(cursor.fetchall() if cursor.description else ())


def _sqlalchemy_error(
    text: str, error: psycopg2.Error, engine: sa.Engine, *, lost: bool
) -> BaseException:
    """Return the SQLAlchemy error for a driver error, without values."""
    converted = sa.exc.DBAPIError.instance(
        text,
        None,
        error,
        psycopg2.Error,
        hide_parameters=True,
        connection_invalidated=lost,
        dialect=engine.dialect,
    )
    return cast(BaseException, converted)
