"""A linter for migrations: finds changes that block the site or break running code.

A migration runs against a recorder instead of alembic's `op`, so that its helpers and loops are
covered. Tables that it creates are empty and unused, so any change to them is allowed.
"""

import contextlib
import re
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

# If a default is computed for each row, PostgreSQL rewrites the table.
_COMPUTED = re.compile(r"random|uuid|clock_timestamp|nextval|timeofday", re.I)
_DATA = re.compile(r"^\s*(?:with\b.*)?(update|delete|insert)\b", re.I | re.S)
_NO_LIMIT = re.compile(r"set\s+(?:local\s+|session\s+)?(lock|statement)_timeout", re.I)
_BY_HAND = re.compile(
    r"\b(alter\s+table|create\s+(unique\s+)?index|drop|lock\s+table|vacuum)\b", re.I
)
_CONCURRENTLY = re.compile(r"\bconcurrently\b", re.I)


@dataclass
class Recorder:
    """Records the calls of a migration on `op`, and their mistakes."""

    dialect = SimpleNamespace(name="postgresql")  # whether a statement can block the site
    oldest_code: str | None = None
    own: set = field(default_factory=set)
    faults: list = field(default_factory=list)
    schema: bool = False
    data: bool = False
    alone: bool = False  # inside autocommit_block

    def say(self, fault):
        self.faults.append(fault)

    def create_table(self, name, *_columns, **_more):
        self.own.add(name)
        self.schema = True

    def drop_table(self, name, **_more):
        self._takes(f"drops the table {name}", name)

    def rename_table(self, old, new, **_more):
        self._takes(f"renames the table {old}", old)

    def add_column(self, table, column, **_more):
        self.schema = True
        if table in self.own:
            return
        if not column.nullable and column.server_default is None:
            self.say(f"{table}.{column.name} is mandatory without a default")
        default = getattr(column.server_default, "arg", None)
        if default is not None and _COMPUTED.search(str(default)):
            self.say(f"{table}.{column.name} has a default that rewrites the table")
        if any(column.foreign_keys):
            self.say(f"{table}.{column.name} checks a foreign key over all rows")
        if column.unique or column.index:
            self.say(f"{table}.{column.name} builds an index that is not concurrent")

    def drop_column(self, table, name, **_more):
        self._takes(f"drops {table}.{name}", table)

    def alter_column(self, table, name, **more):
        self.schema = True
        if table in self.own:
            return
        if more.get("new_column_name"):
            self._takes(f"renames {table}.{name}", table)
        if more.get("type_") is not None:
            self.say(f"another type of {table}.{name} rewrites the table")
        if more.get("nullable") is False:
            self._takes(f"forbids null in {table}.{name}", table)

    def create_index(self, name, table, *_columns, **more):
        self.schema = True
        if table in self.own:
            return
        if not more.get("postgresql_concurrently"):
            self.say(f"the index {name} is not concurrent")
        elif not self.alone:
            self.say(f"the index {name} is concurrent, but in a transaction (autocommit_block)")

    def drop_index(self, *_names, **_more):
        self.schema = True

    def create_unique_constraint(self, name, table, *_columns, **_more):
        self.schema = True
        if table not in self.own:
            self.say(f"{name} builds an index that is not concurrent")

    def create_primary_key(self, name, table, *_columns, **_more):
        self.create_unique_constraint(name, table)

    def create_foreign_key(self, name, table, *_rest, **more):
        self._checks(name, table, more)

    def create_check_constraint(self, name, table, *_rest, **more):
        self._checks(name, table, more)

    def drop_constraint(self, *_names, **_more):
        self.schema = True

    def execute(self, statement, **_more):
        text = str(statement)
        if _NO_LIMIT.search(text):
            self.say("changes a time limit that env.py has set")
        if _DATA.match(text):
            self.data = True
        elif _BY_HAND.search(text) and not _CONCURRENTLY.search(text):
            self.schema = True
            self.say(f"changes the schema by hand: {' '.join(text.split())[:50]}")

    def bulk_insert(self, *_rows, **_more):
        self.data = True

    @contextlib.contextmanager
    def batch_alter_table(self, table, **_more):
        yield _Batch(self, table)

    def get_context(self):
        return self

    @contextlib.contextmanager
    def autocommit_block(self):
        self.alone = True
        yield
        self.alone = False

    def get_bind(self):
        raise AssertionError("a migration that asks the database depends on what is in it")

    def f(self, name):
        return name

    def _takes(self, what, table):
        """Record a removal that is allowed only after the code that uses it is gone."""
        self.schema = True
        if table not in self.own and self.oldest_code is None:
            self.say(f"{what}, which the code before it uses: say oldest_code")

    def _checks(self, name, table, more):
        self.schema = True
        if table not in self.own and not more.get("postgresql_not_valid"):
            self.say(f"{name} is checked over all rows at once (postgresql_not_valid)")


class _Batch:
    """`with op.batch_alter_table(…) as table`: the same calls for one table."""

    def __init__(self, recorder, table):
        self._recorder, self._table = recorder, table

    def __getattr__(self, name):
        of_table = getattr(self._recorder, name)
        named_first = name in ("create_index", "create_unique_constraint", "create_foreign_key",
                               "create_check_constraint", "create_primary_key")  # fmt: skip

        def call(first, *rest, **more):
            if named_first:
                return of_table(first, self._table, *rest, **more)
            return of_table(self._table, first, *rest, **more)

        return call


def faults_of(path):
    """Return the mistakes in a migration file."""
    module = ModuleType(f"migration_{path.stem}")
    # Not imported, because the cache could return an older file with the same name, size and
    # second.
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
    recorder = Recorder(oldest_code=getattr(module, "oldest_code", None))
    module.op = recorder
    module.upgrade()
    if recorder.data and recorder.schema:
        recorder.say("changes the schema and data in one file")
    if recorder.data and not recorder.own and "LIMIT" not in path.read_text().upper():
        recorder.say("changes data without batches (LIMIT)")
    if recorder.oldest_code is not None and not recorder.oldest_code < module.revision:
        recorder.say("oldest_code is a revision before this one")
    if not path.name.startswith(f"{module.revision}_"):
        recorder.say("the file's name begins with its revision")
    return recorder.faults
