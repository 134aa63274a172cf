"""The most frequent reads: one statement each, which also checks the session or the token.

Autocommit saves BEGIN and COMMIT, the session's row is read together with the vault's, and on
PostgreSQL the same statement inserts the audit event: one round trip instead of seven. Rows are
converted to JSON without intermediate objects (see `row_json`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit import service as audit
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.events import Event
from vaultr.database.session import postgresql, transaction
from vaultr.database.sql import Statement, per_database
from vaultr.request_context import Actor
from vaultr.settings.model import current_settings
from vaultr.vault import access, row_json
from vaultr.vault.access import Access
from vaultr.vault.errors import ItemNotFound
from vaultr.vault.responses import WrapView


@dataclass(frozen=True, slots=True)
class VaultSnapshot:
    """A vault at one moment: its row, its wraps for the actor, and its last entry as JSON."""

    vault: Any
    wraps: list[WrapView]
    head_entry: str


@dataclass(frozen=True, slots=True)
class ItemBody:
    """An item as JSON; ``body`` is None if the client already has that revision."""

    body: str | None
    revision: int


def read_head(actor: Actor, vault_id: UUID) -> tuple[int, bytes]:
    """Return the revision and the head of a vault.

    :raises Unauthenticated: the session or the token is dead.
    :raises VaultNotFound: the actor has no such vault.
    """
    values = access.parameters(actor, vault_id=vault_id)
    row = _head(access.of(actor)).alone(values).one()
    access.check(row)
    return row.revision, bytes(row.head)


def read_vault(connection: sa.Connection, actor: Actor, vault_id: UUID) -> VaultSnapshot:
    """Read a vault with its wraps and its last entry, inside a transaction.

    :raises Unauthenticated, VaultNotFound: see `read_head`.
    """
    values = access.parameters(actor, vault_id=vault_id)
    return _snapshot(_vault(access.of(actor)).run(connection, values).all())


def read_vault_autocommit(actor: Actor, vault_id: UUID) -> VaultSnapshot:
    """Read a vault with its wraps and its last entry, outside of any transaction.

    :raises Unauthenticated, VaultNotFound: see `read_head`.
    """
    return _snapshot(_vault(access.of(actor)).alone(access.parameters(actor, vault_id=vault_id)))


def _snapshot(found: Sequence[Any]) -> VaultSnapshot:
    vault = found[0]
    access.check(vault)
    wraps = [
        WrapView(generation=row.wrap_generation, sealed_key=bytes(row.sealed_key))
        for row in found
        if row.wrap_generation is not None
    ]
    last = (
        "null" if vault.entry_n is None else row_json.entry_json(vault[-row_json.ENTRY_COLUMNS :])
    )
    return VaultSnapshot(vault, wraps, last)


def read_item(actor: Actor, vault_id: UUID, item_id: UUID, known: int | None) -> ItemBody:
    """Read one item with its detail, and record an audit event.

    :param known: the revision that the client has; if it is current, nothing is read or recorded.
    :raises Unauthenticated, VaultNotFound: see `read_head`.
    :raises ItemNotFound: no such item exists.
    :raises AuditUnavailable: the event could not be recorded, so the item is not returned.
    """
    revision = -1 if known is None else known
    values = access.parameters(actor, vault_id=vault_id, item_id=item_id, known=revision)
    obj = {"kind": "vault", "id": str(vault_id), "items": [str(item_id)]}
    if postgresql():
        row = _read_and_record(actor, values, obj)
    else:
        with transaction() as session:
            row = _item(access.of(actor)).run(session.connection(), values).one()
            if _is_new(row):
                audit.record(Event.ITEM_READ, account_id=actor.account_id, obj=obj)
    access.check(row)
    if row.revision is None:
        raise ItemNotFound
    return ItemBody(
        row_json.item_json(row[-row_json.ITEM_COLUMNS :]) if _is_new(row) else None, row.revision
    )


def _is_new(row: Any) -> bool:
    return bool(row.alive) and row.overview is not None


def _read_and_record(actor: Actor, values: Mapping[str, Any], obj: Mapping[str, Any]) -> Any:
    prepared = audit.prepared(Event.ITEM_READ, account_id=actor.account_id, obj=obj)
    with prepared as event:
        statement = _item_and_event(access.of(actor))
        row = statement.alone({**values, **event.parameters}).one()
        if _is_new(row) and not row.recorded:
            raise AuditUnavailable  # part of the event may be stored, so do not call `done`
        event.done(inserted=row.recorded)
    return row


def list_items(
    actor: Actor, vault_id: UUID, *, limit: int, **chosen: Any
) -> tuple[list[str], str | None]:
    """Read one page of overviews, ordered by item id; it ends at ``limit`` or `PAGE_BYTES`.

    :param chosen: ``state``; ``type`` and ``after`` (an id), or None.
    :return: items as JSON, and the id after which the next page starts.
    :raises Unauthenticated, VaultNotFound: see `read_head`.
    """
    filters = {name: value for name, value in chosen.items() if value is not None}
    statement = _list(access.of(actor), "type" in filters, "after" in filters)
    page = {"limit": limit + 1, "bytes": current_settings().page_bytes}
    values = access.parameters(actor, vault_id=vault_id, **page, **filters)
    found = statement.alone(values)
    access.check(found[0])
    items = [row[-row_json.SUMMARY_COLUMNS :] for row in found if row.revision is not None]
    shown = [row for row in items[:limit] if row[-1] is not None]
    last = shown[-1][0] if len(items) > len(shown) else None
    return [row_json.summary_json(row) for row in shown], last


def statement(actor: Access, columns: str, more: str = "") -> str:
    """Return SQL that selects ``columns`` of a vault, and ``alive`` and ``owned`` for checks."""
    proof = f"{actor.alive} AS alive, v.revision IS NOT NULL AS owned"
    return f"SELECT {proof}, {columns} {actor.from_vault} {more}"  # nosec B608 - constants only


@per_database
def _head(actor: Access) -> Statement:
    return Statement(statement(actor, "v.revision, v.head"))


@per_database
def _vault(actor: Access) -> Statement:
    columns = (
        f"{actor.role} AS role, {row_json.id_text('v.id')} AS id,"
        f" {row_json.time_text('v.created_at')} AS created_at,"
        " v.generation, v.rotating, v.revision, v.head, v.overview, v.overview_revision,"
        " v.overview_generation, v.active, v.trash, v.item_bytes,"
        f" k.generation AS wrap_generation, k.sealed_key, {row_json.entry_columns()}"
    )
    more = (
        f"LEFT JOIN vault_keys k ON k.vault_id = v.id AND k.holder_id = {actor.holder}"
        " LEFT JOIN entries e ON e.vault_id = v.id AND e.n = v.revision ORDER BY k.generation"
    )
    return Statement(statement(actor, columns, more))


def _item_sql(actor: Access) -> str:
    new = "CASE WHEN i.revision <> :known THEN i.{0} END AS {0}".format
    columns = f"{row_json.item_columns()}, {new('overview')}, {new('detail')}"
    more = "LEFT JOIN items i ON i.vault_id = v.id AND i.id = :item_id"
    return statement(actor, columns, more)


@per_database
def _item(actor: Access) -> Statement:
    return Statement(_item_sql(actor))


@per_database
def _item_and_event(actor: Access) -> Statement:
    # Do not flush to disk at commit: a crash can lose the events of less than a second of reads,
    # whose responses were already sent. The setting applies only to this statement's transaction.
    return Statement(
        f"WITH found AS ({_item_sql(actor)}),"  # nosec B608 - contains constants only
        " new AS (SELECT set_config('synchronous_commit', 'off', true) FROM found"
        " WHERE alive AND overview IS NOT NULL),"
        f" {audit.Prepared.ctes('new')}"
        " SELECT EXISTS (SELECT 1 FROM pend) AS recorded, * FROM found"
    )


@per_database
def _list(actor: Access, of_type: bool, after: bool) -> Statement:
    # Choose the page before the join, so that the index is used. Rows over the byte limit of a page
    # have no overview.
    chosen = (
        "SELECT *, sum(length(overview)) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS total"
        " FROM items WHERE vault_id = :vault_id AND state = :state"
        f"{' AND type = :type' if of_type else ''}{' AND id > :after' if after else ''}"  # nosec B608 - constants only
        " ORDER BY id LIMIT :limit"
    )
    fits = "i.total <= :bytes OR i.total = length(i.overview)"
    page = (
        f"SELECT {row_json.item_columns()}, CASE WHEN {fits} THEN i.overview END AS overview"  # nosec B608 - constants only
        f" FROM ({chosen}) i ORDER BY i.id"
    )
    more = f"LEFT JOIN ({page}) p ON v.id IS NOT NULL ORDER BY p.id"
    return Statement(statement(actor, "p.*", more))
