"""The ways to run SQL text: `Statement` for frequent requests, `planned` for typed rows.

`JoinedStatement` and `LockedRead` combine planned statements for one round trip to PostgreSQL.

SQLite has no type for ids and times, so parameters and columns get their types by name here.
"""

import functools
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session as Work

from vaultr.database import raw_driver
from vaultr.database.base import Utc
from vaultr.database.prepared_statements import PLANNED
from vaultr.database.raw_driver import Rows
from vaultr.database.session import one_statement, postgresql

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_DRIVER: Final = make_url("postgresql+psycopg2://").get_dialect()
# Types of the parameters of a `Statement`, by name.
_PARAMETER_TYPES: Final[dict[str, sa.types.TypeEngine[Any]]] = {
    **dict.fromkeys(("vault_id", "item_id", "author_id", "audit_event_id"), sa.Uuid()),
    **dict.fromkeys(("sid", "account", "after"), sa.Uuid()),
    **dict.fromkeys(("now", "lock_end"), Utc()),
}
# Types of the parameters and columns of a `planned` statement, by name.
_COLUMN_TYPES: Final[dict[str, sa.types.TypeEngine[Any]]] = {
    **dict.fromkeys(("sid", "account", "event"), sa.Uuid()),
    **dict.fromkeys(("now", "idle_until", "expires_at", "proven_at", "rotated_at"), Utc()),
    **dict.fromkeys(("locked_until", "device_locked_until", "lock_end"), Utc()),
    **dict.fromkeys(("last_used_at", "hour"), Utc()),
    **dict.fromkeys(("account_id", "id"), sa.Uuid()),
}


def typed(text: str, types: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.TextClause:
    """Return a statement whose parameters have the types in ``types``, by name."""
    names = {*_PARAMETER.findall(text)} & types.keys()
    return sa.text(text).bindparams(*(sa.bindparam(name, type_=types[name]) for name in names))


class Statement:
    """SQL statements that run together; the result has the rows of the last one, unconverted.

    PostgreSQL receives them as one text, in one round trip. Each statement sees the effects of the
    earlier ones, and whatever was committed before the statement began. SQLite runs them one by
    one. Bypassing SQLAlchemy's expressions and types saves 0.1 ms.

    :param locks: statements that lock rows; they run first, on PostgreSQL only. On SQLite, BEGIN
        IMMEDIATE has already locked the database.
    :ivar driver_text: all statements in psycopg2's parameter format.
    """

    def __init__(self, *statements: str, locks: tuple[str, ...] = ()) -> None:
        joined = sa.text("; ".join((*locks, *statements)))
        self.driver_text = str(joined.compile(dialect=_DRIVER()))
        self._separate = [typed(statement, _PARAMETER_TYPES) for statement in statements]

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> Rows:
        """Run the statements in the transaction of ``connection``, and return the rows.

        ``values`` may contain more than the text uses. Ids and times are returned as the database
        stores them, so select them as text (see `vault.row_json`). Binary values may be
        memoryviews.
        """
        if connection.dialect.name == "postgresql":
            return raw_driver.run_within(connection, self.driver_text, values)
        for statement in self._separate[:-1]:
            connection.execute(statement, values)
        result = connection.execute(self._separate[-1], values)
        return Rows(result if result.returns_rows else ())

    def alone(self, values: Mapping[str, Any]) -> Rows:
        """Run a single statement in its own transaction, and return its rows."""
        if postgresql():
            return raw_driver.run(self.driver_text, values)
        with one_statement() as connection:
            return self.run(connection, values)


def per_database(make: Callable[..., Statement]) -> Callable[..., Statement]:
    """Cache the statement that ``make`` returns, for each database and list of arguments."""
    cached: dict[Any, Statement] = {}

    @functools.wraps(make)
    def get(*arguments: Hashable) -> Statement:
        key = (postgresql(), *arguments)
        if key not in cached:
            cached[key] = make(*arguments)
        return cached[key]

    return get


def planned(text: str) -> Any:
    """Return a prepared statement whose ids and times have the same types on both databases."""
    return typed(text, _COLUMN_TYPES).columns(**_COLUMN_TYPES).execution_options(**PLANNED)


class JoinedStatement:
    """Statements that write different rows: joined on PostgreSQL, run in order on SQLite."""

    def __init__(self, *statements: str) -> None:
        *first, last = statements
        parts = ", ".join(f"w{number} AS ({text})" for number, text in enumerate(first))
        self._joined = planned(f"WITH {parts} {last}")
        self._separate = [planned(text) for text in statements]

    def run(self, work: Work, values: Mapping[str, Any]) -> None:
        """Run all statements."""
        connection = work.connection()
        for statement in [self._joined] if postgresql() else self._separate:
            connection.execute(statement, values)


class LockedRead:
    """A read of rows that it locks first. On SQLite the transaction has locked the whole database.

    The lock is a separate statement. A single statement would see the data as of its start, then
    wait for the lock, and return data that another transaction has changed in the meantime.
    """

    def __init__(self, lock: str, read: str) -> None:
        self._lock_and_read, self._read = planned(f"{lock}; {read}"), planned(read)

    def one(self, work: Work, values: Mapping[str, Any]) -> Any:
        """Return the one row, or None."""
        statement = self._lock_and_read if postgresql() else self._read
        return work.connection().execute(statement, values).one_or_none()
