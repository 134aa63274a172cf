"""Count the rows of each table, and compute a digest that does not depend on their order.

The digest of a row is the first half of its SHA-256, as two 64-bit numbers. The digest of a table
consists of two sums, one for each number, over all rows. So a dump and a restore may order rows
differently.
"""

import collections
import contextlib
import contextvars
import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import sqlalchemy as sa

from vaultr.backup import scratch
from vaultr.backup.manifest import Manifest, TableDigest

_WORD: Final = 8
# The text of a row depends on these settings, which may differ by server or role.
_AS_TEXT: Final = (
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, MDY'; SET LOCAL bytea_output = 'hex';"
    " SET LOCAL extra_float_digits = 1; SET LOCAL jit = off"
)
_NO_LIMITS: Final = (
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
    " SET LOCAL idle_in_transaction_session_timeout = 0"
)
# Begin with the largest table, so that it is not the last one to finish.
_TABLES: Final = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    " ORDER BY pg_relation_size(format('public.%I', tablename)::regclass) DESC, tablename"
)
_CONSTRAINTS: Final = (
    "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND convalidated ORDER BY 1"
)
_SQLITE_TABLES: Final = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
)


@contextlib.contextmanager
def computed(
    url: str, *, snapshot: str | None = None, connections: int = 1
) -> Iterator[Callable[[], dict[str, TableDigest]]]:
    """Compute the digests of all PostgreSQL tables in parallel with the block.

    Yield a function that waits for them. Unfinished ones are cancelled when the block ends.

    :param snapshot: an exported snapshot, whose transaction is open.
    :param connections: number of tables read in parallel, each with one processor.
    """
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(_reading(url, snapshot)) for _ in range(connections)]
        drivers: list[Any] = [connection.connection.dbapi_connection for connection in opened]
        todo = collections.deque(opened[0].scalars(sa.text(_TABLES)))
        pool = stack.enter_context(ThreadPoolExecutor(connections))
        # This context has no statement deadline; the context of a new thread would have one.
        contexts = [contextvars.copy_context() for _ in opened]
        running = [
            pool.submit(context.run, _of_tables, connection, todo)
            for context, connection in zip(contexts, opened, strict=True)
        ]

        def result() -> dict[str, TableDigest]:
            found = {name: table for future in running for name, table in future.result().items()}
            return dict(sorted(found.items()))

        try:
            yield result
        finally:
            todo.clear()
            for driver, one in zip(drivers, running, strict=True):
                if not one.done():
                    driver.cancel()


@contextlib.contextmanager
def _reading(url: str, snapshot: str | None) -> Iterator[sa.Connection]:
    with scratch.connected(url, isolation_level="REPEATABLE READ") as connection:
        if snapshot is not None:
            connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        connection.exec_driver_sql(f"SET TRANSACTION READ ONLY; {_NO_LIMITS}; {_AS_TEXT}")
        yield connection


def _of_tables(connection: sa.Connection, todo: collections.deque[str]) -> dict[str, TableDigest]:
    found = {}
    with contextlib.suppress(IndexError):  # no table is left
        while True:
            name = todo.popleft()
            found[name] = _of_table(connection, name)
    return found


def _of_table(connection: sa.Connection, name: str) -> TableDigest:
    quoted = connection.dialect.identifier_preparer.quote(name)
    # OFFSET 0 keeps the planner from computing the hash once for each half.
    query = (
        "SELECT count(*), coalesce(sum(('x' || substr(h, 1, 16))::bit(64)::bigint), 0),"
        " coalesce(sum(('x' || substr(h, 17, 16))::bit(64)::bigint), 0)"
        " FROM (SELECT encode(sha256(convert_to(whole_row::text, 'UTF8')), 'hex') AS h"
        f" FROM public.{quoted} AS whole_row OFFSET 0) AS hashes"  # nosec B608 - a name of the catalog
    )
    rows, *sums = connection.exec_driver_sql(query).one()
    return TableDigest(int(rows), _digest_text(*(int(number) for number in sums)))


def constraints(connection: sa.Connection) -> dict[str, str]:
    """Return the definitions of all validated constraints of PostgreSQL, by table and name."""
    rows = connection.execute(sa.text(_CONSTRAINTS)).all()
    return {str(name): str(text) for name, text in rows}


def of_sqlite(connection: sqlite3.Connection) -> dict[str, TableDigest]:
    """Return the digests of all tables, in the connection's transaction."""
    names = [name for (name,) in connection.execute(_SQLITE_TABLES)]
    return {name: _of_sqlite_table(connection, name) for name in names}


def _of_sqlite_table(connection: sqlite3.Connection, name: str) -> TableDigest:
    quoted = name.replace('"', '""')
    rows, first, second = 0, 0, 0
    for row in connection.execute(f'SELECT * FROM "{quoted}"'):  # nosec B608 - a name of the catalog
        hashed = hashlib.sha256(b"".join(_encoded(value) for value in row)).digest()
        rows += 1
        first += int.from_bytes(hashed[:_WORD], signed=True)
        second += int.from_bytes(hashed[_WORD : 2 * _WORD], signed=True)
    return TableDigest(rows, _digest_text(first, second))


def _encoded(value: Any) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return b"b%d:" % len(value) + value
    text = (value if isinstance(value, str) else repr(value)).encode()
    return type(value).__name__[:1].encode() + b"%d:" % len(text) + text


def _digest_text(*sums: int) -> str:
    return "".join(f"{number % (1 << 64):016x}" for number in sums)


def differences(
    manifest: Manifest, tables: Mapping[str, TableDigest], constraints: Mapping[str, str]
) -> Iterator[str]:
    """Yield the differences between restored tables and the tables in a manifest."""
    for name, then in manifest.tables.items():
        now = tables.get(name)
        if now is None:
            yield f"the table {name} is missing"
        elif now.rows != then.rows:
            yield f"the table {name} has {now.rows} rows instead of {then.rows}"
        elif now.digest != then.digest:
            yield f"a value in the table {name} was changed"
    for name in sorted(set(tables) - set(manifest.tables)):
        yield f"the table {name} was not backed up"
    for name, _ in sorted(set(manifest.constraints.items()) - set(constraints.items())):
        yield f"the constraint {name} is missing"
