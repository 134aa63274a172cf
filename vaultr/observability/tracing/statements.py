"""A span for each round trip to the database: kind of statement and tables, never a value.

Subclasses of the drivers' connections and cursors create the spans. So every statement is traced,
regardless of its origin (SQLAlchemy, `database.raw_driver`, a page of inserts), and there is no
overhead while tracing is off.
"""

import re
import sqlite3
from collections import OrderedDict
from functools import cache
from typing import Any, Final

import psycopg2.extensions as pg
import sqlalchemy as sa

from vaultr.observability.tracing import spans

MOST_PAIRS: Final = 4  # in the name of one span
_MOST_NAMES: Final = 1000
_READ: Final = 20_000  # characters
_READ_BYTES: Final = 500  # a page of inserts begins with its table; the rest are values
_TABLE: Final = re.compile(
    r"\b(INSERT\s+INTO|DELETE\s+FROM|UPDATE|FROM|JOIN)\s+\"?([A-Za-z_]\w*)", re.I
)
_PREPARE: Final = re.compile(r"PREPARE (\w+) AS ")
_EXECUTE: Final = re.compile(r"(?:^|; )EXECUTE (\w+)")
_VERB: Final = re.compile(
    r"(BEGIN|COMMIT|DELETE|INSERT|LOCK|NOTIFY|PRAGMA|RELEASE|ROLLBACK|SAVEPOINT|SELECT|SET|SHOW"
    r"|UPDATE|VALUES|WITH)(?:\s+(pg_[a-z_]+)\()?",
    re.I,
)

_prepared: dict[str, str] = {}
_names: OrderedDict[str, str] = OrderedDict()
_tables: frozenset[str] = frozenset()


def listen(engine: sa.Engine, tables: frozenset[str]) -> None:
    """Trace the statements of all connections that ``engine`` opens from now on.

    :param tables: names that a span may contain; any other word could be a value.
    """
    global _tables
    _tables = tables
    option, kind = (
        ("factory", _SqliteConnection)
        if engine.dialect.name == "sqlite"
        else ("connection_factory", _Connection)
    )

    def connect(dialect: Any, _record: Any, arguments: Any, options: dict[str, Any]) -> Any:
        with _span("CONNECT", engine.dialect.name):
            return dialect.connect(*arguments, **options, **{option: kind})

    sa.event.listen(engine, "do_connect", connect)


def name_of(text: str | bytes) -> str:
    """Return what a statement does, such as ``SELECT sessions INSERT audit_event``.

    A prepared statement is named after the original statement, not EXECUTE.
    """
    if isinstance(text, bytes):  # it contains values, so it is not cached
        return _name_and_remember(text[:_READ_BYTES].decode("utf-8", "replace"))
    bare = text.partition(" /*request_id=")[0]
    name = _names.get(bare)
    if name is None:
        name = _names[bare] = _name_and_remember(bare)
        while len(_names) > _MOST_NAMES:
            _names.popitem(last=False)
    return name


def _name_and_remember(text: str) -> str:
    if (made := _PREPARE.match(text)) is not None:
        name = _summary(text[made.end() :])
        _prepared[made[1]] = name
        return f"PREPARE {name}"
    run = [_prepared.get(name, "EXECUTE") for name in _EXECUTE.findall(text)]
    return " ".join(dict.fromkeys(run)) if run else _summary(text)


def _summary(text: str) -> str:
    pairs = (
        (verb.split()[0].upper(), table)
        for verb, table in _TABLE.findall(text[:_READ])
        if table in _tables
    )
    summaries = dict.fromkeys(
        f"{'SELECT' if verb in ('FROM', 'JOIN') else verb} {table}" for verb, table in pairs
    )
    if summaries:
        return " ".join(list(summaries)[:MOST_PAIRS])
    verb = _VERB.match(text.lstrip())
    if verb is None:
        return "OTHER"
    return f"{verb[1].upper()} {verb[2]}" if verb[2] else verb[1].upper()


def _span(name: str, system: str) -> Any:
    return spans.span(name, db__system__name=system, db__query__summary=name)


@cache
def _traced(kind: type[Any], system: str) -> type[Any]:
    """Return a cursor class like ``kind`` that traces what it executes."""

    class Traced(kind):  # type: ignore[misc]  # any kind of cursor
        def execute(self, text: Any, *values: Any, **named: Any) -> Any:
            with _span(name_of(text), system):
                return super().execute(text, *values, **named)

        def executemany(self, text: Any, *values: Any, **named: Any) -> Any:
            with _span(name_of(text), system):
                return super().executemany(text, *values, **named)

    return Traced


class _Connection(pg.connection):  # type: ignore[misc]  # psycopg2 is untyped
    def cursor(self, *arguments: Any, cursor_factory: Any = None, **named: Any) -> Any:
        kind = cursor_factory or self.cursor_factory or pg.cursor
        return super().cursor(*arguments, cursor_factory=_traced(kind, "postgresql"), **named)

    def commit(self) -> None:
        if self.info.transaction_status == pg.TRANSACTION_STATUS_IDLE:
            super().commit()  # no round trip
            return
        with _span("COMMIT", "postgresql"):
            super().commit()

    def rollback(self) -> None:
        if self.info.transaction_status == pg.TRANSACTION_STATUS_IDLE:
            super().rollback()
            return
        with _span("ROLLBACK", "postgresql"):
            super().rollback()


class _SqliteConnection(sqlite3.Connection):
    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(_traced(factory or sqlite3.Cursor, "sqlite"))

    def commit(self) -> None:
        if not self.in_transaction:
            super().commit()
            return
        with _span("COMMIT", "sqlite"):
            super().commit()
