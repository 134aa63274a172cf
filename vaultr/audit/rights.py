"""The rights of each role to the audit log, in one table.

`deploy/postgres/roles.sql`, the step after each migration, `flask doctor` and the tests use this
table.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

APP: Final = "vaultr_app"
SEQUENCER: Final = "vaultr_sequencer"

_READ: Final = ("SELECT",)
_ADD: Final = ("SELECT", "INSERT")
# RIGHT(column) is a right to one column.
_ANCHOR: Final = (*_ADD, "UPDATE(anchored_to)")

RIGHTS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    APP: {
        "audit_event": _ADD,
        "audit_pending": _ADD,
        "audit_leaf": _READ,
        "audit_node": _READ,
        "audit_checkpoint": _READ,
        "audit_key_change": _READ,
        "audit_subject": _READ,
        "audit_prune": _READ,
        "audit_hold": _READ,
    },
    SEQUENCER: {
        "audit_event": _ADD,
        "audit_pending": (*_ADD, "DELETE"),
        "audit_leaf": _ADD,
        "audit_node": _ADD,
        "audit_checkpoint": (*_ANCHOR, "DELETE"),
        "audit_key_change": _ANCHOR,
        "audit_subject": (*_ADD, "UPDATE"),
        "audit_prune": _READ,
        "audit_hold": _READ,
    },
}
# The tables that the sequencer's job needs besides the log, for the log's name and its cursors.
SEQUENCER_RIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    "facts": ("SELECT", "INSERT", "UPDATE"),
    "switches": _READ,
    "alembic_version": _READ,
}
_OWNED: Final = (
    "SELECT tablename FROM pg_tables"
    " WHERE schemaname = current_schema AND tableowner = current_user"
)
_SEQUENCES: Final = (
    "SELECT sequencename FROM pg_sequences"
    " WHERE schemaname = current_schema AND sequenceowner = current_user"
)
_OTHERS: Final = (
    "SELECT DISTINCT g.table_name, g.grantee FROM information_schema.role_table_grants g"
    " JOIN pg_tables t ON t.tablename = g.table_name AND t.schemaname = g.table_schema"
    " WHERE g.table_schema = current_schema AND g.table_name LIKE 'audit\\_%'"
    " AND g.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')"
    " AND g.grantee <> t.tableowner AND t.tableowner = current_user"
)
TABLES: Final = tuple(RIGHTS[APP])
ALL: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")


@dataclass(frozen=True, slots=True)
class Right:
    """A right of a role to a table, or to one column of it."""

    role: str
    table: str
    name: str

    @property
    def column(self) -> str | None:
        """The column, if the right is limited to one."""
        return self.name.partition("(")[2].rstrip(")") or None

    @property
    def kind(self) -> str:
        """The right without its column."""
        return self.name.partition("(")[0]


def of(role: str) -> Iterator[Right]:
    """Yield all rights of a role to the audit log."""
    for table, names in RIGHTS[role].items():
        yield from (Right(role, table, name) for name in names)


def server_rights(table: str) -> tuple[str, ...] | None:
    """Return the rights of the server's role to a table of the audit log; None for other tables."""
    return RIGHTS[APP].get(table)


def rows() -> list[tuple[str, str, str]]:
    """Return the rights as (role, table, rights), as in roles.sql."""
    listed = [*RIGHTS.items(), (SEQUENCER, SEQUENCER_RIGHTS)]
    return [
        (role, table, ", ".join(names))
        for role, tables in listed
        for table, names in tables.items()
    ]


def apply(connection: sa.Connection) -> None:
    """Set both roles' rights to tables that the current role owns; needs PostgreSQL.

    Default privileges grant the server's role all rights to rows of new tables. All roles except
    the owner lose every right to change the log.
    """
    owned = set(connection.scalars(sa.text(_OWNED)))
    roles = set(connection.scalars(sa.text("SELECT rolname FROM pg_roles")))
    quote = connection.dialect.identifier_preparer.quote
    for table, role in connection.execute(sa.text(_OTHERS)).all():
        if role not in RIGHTS:
            taken = f"UPDATE, DELETE, TRUNCATE ON {quote(table)} FROM {quote(role)}"
            connection.execute(sa.text(f"REVOKE {taken}"))
    if APP in roles:  # so that a dump by the server's role can read the last values
        for name in connection.scalars(sa.text(_SEQUENCES)).all():
            connection.execute(sa.text(f"GRANT SELECT ON SEQUENCE {quote(name)} TO {APP}"))
    for role, table, names in rows():
        if role in roles and table in owned:
            connection.execute(sa.text(f"REVOKE ALL ON {table} FROM {role}"))
            connection.execute(sa.text(f"GRANT {names} ON {table} TO {role}"))


def may_sequence(connection: sa.Connection) -> bool:
    """Check whether the current role has the sequencer's rights; SQLite has no roles."""
    if connection.dialect.name != "postgresql":
        return True
    return all(_has(connection, right) for right in of(SEQUENCER) if right.kind != "SELECT")


def excess(connection: sa.Connection, role: str) -> list[str]:
    """Return the rights that the current role has but ``role`` has not, as ``RIGHT on table``."""
    allowed = {(right.table, right.name) for right in of(role)}
    asked = (Right(role, table, name) for table in TABLES for name in ALL)
    return [
        f"{right.name} on {right.table}"
        for right in asked
        if (right.table, right.name) not in allowed and _has(connection, right)
    ]


def _has(connection: sa.Connection, right: Right) -> bool:
    if right.column is None:
        asked = sa.text("SELECT has_table_privilege(current_user, :table, :kind)")
        return bool(connection.scalar(asked, {"table": right.table, "kind": right.kind}))
    asked = sa.text("SELECT has_column_privilege(current_user, :table, :column, :kind)")
    values = {"table": right.table, "column": right.column, "kind": right.kind}
    return bool(connection.scalar(asked, values))
