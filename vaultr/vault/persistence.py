"""Store pending changes: a single change in one round trip, a batch table by table."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects import sqlite

from vaultr import clock
from vaultr.database.session import postgresql
from vaultr.protocol.entries import Op
from vaultr.protocol.sizes import VERSIONS_PER_ITEM
from vaultr.vault import version_retention, write_sql
from vaultr.vault.change_rules import Change
from vaultr.vault.models import ENTRIES, ITEMS, REMOVED, VAULTS, VERSIONS
from vaultr.vault.pending_changes import PendingChanges, Put, StoredItem

_ROWS_A_STATEMENT = 100  # a full batch has at most 16 KiB in a row, so 3 MiB of SQL
_NEVER_REPLACED = {"vault_id", "id", "created_at"}

Rows = Sequence[dict[str, Any]]


def store_one(
    connection: sa.Connection, pending: PendingChanges, change: Change, event_id: UUID
) -> None:
    """Store pending changes that consist of one change."""
    item, content = pending.items[change.item_id], change.content
    values = {**pending.log.added[0], **pending.counts(), "audit_event_id": event_id}
    values |= {"now": clock.now(), "added_bytes": content.size if content else 0}
    if item is None:
        write_sql.REMOVE.run(connection, values)
    elif content is None:
        write_sql.MOVE.run(connection, {**values, "state": item.state})
    else:
        values |= {"type": item.type, "size": item.size}
        values |= {"overview": content.overview, "detail": content.detail}
        script = write_sql.CREATE if item.puts == 1 else write_sql.REPLACE
        script.run(connection, values)
        if item.puts > VERSIONS_PER_ITEM:
            write_sql.DROP_OLD_VERSIONS.run(connection, values)
    _trim_versions(connection, pending)


def store_many(connection: sa.Connection, pending: PendingChanges, event_id: UUID) -> None:
    """Store pending changes that consist of many changes."""
    stamp = {"vault_id": pending.log.vault_id, "audit_event_id": event_id}
    puts = [put for put in pending.puts if pending.items[put.item_id] is not None]
    last = {put.item_id: put for put in puts}
    _insert(connection, ENTRIES, [row | stamp for row in pending.log.added])
    _insert(connection, VERSIONS, [_version(put) | stamp for put in puts])
    _replace(connection, [_item(put, pending.items[put.item_id]) | stamp for put in last.values()])
    _move(connection, pending, stamp, except_for=last.keys())
    counted = {**pending.counts(), "added_bytes": sum(put.item.size for put in puts)}
    write_sql.COUNT.run(connection, {**pending.log.added[-1], **counted})
    for put in puts:
        if put.item.puts > VERSIONS_PER_ITEM:
            write_sql.DROP_OLD_VERSIONS.run(connection, {**stamp, "item_id": put.item_id})
    _remove(connection, pending)
    _trim_versions(connection, pending)


def _trim_versions(connection: sa.Connection, pending: PendingChanges) -> None:
    if pending.puts and pending.exceeds_version_quota():
        version_retention.delete_oldest(connection, pending.log.vault_id, pending.quota.vault_bytes)


def _insert(connection: sa.Connection, table: sa.Table, rows: Rows) -> None:
    for at in range(0, len(rows), _ROWS_A_STATEMENT):
        connection.execute(sa.insert(table), rows[at : at + _ROWS_A_STATEMENT])


def _version(put: Put) -> dict[str, Any]:
    return {
        "item_id": put.item_id,
        "revision": put.item.revision,
        "generation": put.item.generation,
        "type": put.item.type,
        "size": put.item.size,
        "overview": put.content.overview,
        "detail": put.content.detail,
        "created_at": clock.now(),
    }


def _item(put: Put, after: StoredItem | None) -> dict[str, Any]:
    now = clock.now()
    return {
        **asdict(after or put.item),
        "id": put.item_id,
        "overview": put.content.overview,
        "detail": put.content.detail,
        "created_at": now,
        "updated_at": now,
    }


def _replace(connection: sa.Connection, rows: Rows) -> None:
    """Insert items, or replace existing ones."""
    insert: Any = pg.insert(ITEMS) if postgresql() else sqlite.insert(ITEMS)
    new = {column.name: column for column in insert.excluded if column.name not in _NEVER_REPLACED}
    statement = insert.on_conflict_do_update(index_elements=["vault_id", "id"], set_=new)
    for at in range(0, len(rows), _ROWS_A_STATEMENT):
        connection.execute(statement, rows[at : at + _ROWS_A_STATEMENT])


def _move(
    connection: sa.Connection,
    pending: PendingChanges,
    stamp: dict[str, Any],
    *,
    except_for: Collection[UUID],
) -> None:
    """Update items that moved to or from the trash without a put."""
    moved = [
        {"item_id": item_id, "n": item.revision, "to": item.state}
        for item_id, item in pending.items.items()
        if item is not None and item_id not in except_for
    ]
    if not moved:
        return
    statement = (
        sa.update(ITEMS)
        .where(ITEMS.c.vault_id == stamp["vault_id"], ITEMS.c.id == sa.bindparam("item_id"))
        .values(
            revision=sa.bindparam("n"),
            state=sa.bindparam("to"),
            updated_at=clock.now(),
            audit_event_id=stamp["audit_event_id"],
        )
    )
    connection.execute(statement, moved)


def _remove(connection: sa.Connection, pending: PendingChanges) -> None:
    vault_id, added = pending.log.vault_id, pending.log.added
    removals = {row["item_id"]: row["n"] for row in added if row["op"] == Op.REMOVE.value}
    if not removals:
        return
    rows = [
        {"vault_id": vault_id, "item_id": item_id, "revision": n} for item_id, n in removals.items()
    ]
    _insert(connection, REMOVED, rows)
    of_them = sa.and_(VERSIONS.c.vault_id == vault_id, VERSIONS.c.item_id.in_(removals))
    freed = sa.select(sa.func.coalesce(sa.func.sum(VERSIONS.c.size), 0)).where(of_them)
    left = VAULTS.c.version_bytes - freed.scalar_subquery()
    connection.execute(sa.update(VAULTS).where(VAULTS.c.id == vault_id).values(version_bytes=left))
    connection.execute(sa.delete(VERSIONS).where(of_them))
    connection.execute(
        sa.delete(ITEMS).where(ITEMS.c.vault_id == vault_id, ITEMS.c.id.in_(removals))
    )
