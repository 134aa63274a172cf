"""Reads that are asked for most: one statement each, which also proves the session.

A statement on a connection in autocommit needs no BEGIN and no COMMIT, the session's row is read
where the vault's is, and on PostgreSQL the audit event is inserted by the same statement: one
round trip instead of seven. Rows become JSON without objects between (see `rows`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit import service as audit
from vaultr.audit.errors import AuditUnavailable
from vaultr.audit.events import Event
from vaultr.audit.inline_insert import Prepared
from vaultr.database.session import postgresql, transaction
from vaultr.database.sql import Statement, per_database
from vaultr.errors import Unauthenticated
from vaultr.request_context import Actor
from vaultr.security import session_check
from vaultr.vault import row_json
from vaultr.vault.errors import ItemNotFound, VaultNotFound
from vaultr.vault.locking import OWN_VAULT
from vaultr.vault.responses import WrapView


@dataclass(frozen=True, slots=True)
class Look:
    """A vault at one moment: its row, its wraps for the caller, its last entry as JSON."""

    vault: Any
    wraps: list[WrapView]
    head_entry: str


@dataclass(frozen=True, slots=True)
class Read:
    """An item as it is sent; ``body`` is None when the caller has that revision."""

    body: str | None
    revision: int


def glance(actor: Actor, vault_id: UUID) -> tuple[int, bytes]:
    """Return only the revision and the head of a vault.

    :raises Unauthenticated: the session is dead.
    :raises VaultNotFound: there is no such vault that the actor may read.
    """
    values = parameters(actor, vault_id=vault_id)
    row = _glance(session_check.sql()).alone(values).one()
    check(row)
    return row.revision, bytes(row.head)


def look(connection: sa.Connection, actor: Actor, vault_id: UUID) -> Look:
    """Read a vault as a sync shows it.

    :raises Unauthenticated, VaultNotFound: as `glance`.
    """
    values = parameters(actor, vault_id=vault_id)
    return _seen(_look(session_check.sql()).run(connection, values).all())


def look_alone(actor: Actor, vault_id: UUID) -> Look:
    """Read what `look` reads, outside of any transaction.

    :raises Unauthenticated, VaultNotFound: as `glance`.
    """
    return _seen(_look(session_check.sql()).alone(parameters(actor, vault_id=vault_id)))


def _seen(found: Sequence[Any]) -> Look:
    vault = found[0]
    check(vault)
    wraps = [
        WrapView(generation=row.wrap_generation, sealed_key=bytes(row.sealed_key))
        for row in found
        if row.wrap_generation is not None
    ]
    last = (
        "null" if vault.entry_n is None else row_json.entry_json(vault[-row_json.ENTRY_COLUMNS :])
    )
    return Look(vault, wraps, last)


def read_item(actor: Actor, vault_id: UUID, item_id: UUID, known: int | None) -> Read:
    """Read one whole item, and record that.

    :param known: the revision that the caller has; up to date, nothing is read or recorded.
    :raises Unauthenticated, VaultNotFound: as `glance`.
    :raises ItemNotFound: there is no such item.
    :raises AuditUnavailable: the read cannot be recorded, so there is none.
    """
    revision = -1 if known is None else known
    values = parameters(actor, vault_id=vault_id, item_id=item_id, known=revision)
    obj = {"kind": "vault", "id": str(vault_id), "items": [str(item_id)]}
    if postgresql():
        row = _read_and_record(actor, values, obj)
    else:
        with transaction() as session:
            row = _item(session_check.sql()).run(session.connection(), values).one()
            if _is_new(row):
                audit.record(Event.ITEM_READ, account_id=actor.account_id, obj=obj)
    check(row)
    if row.revision is None:
        raise ItemNotFound
    return Read(
        row_json.item_json(row[-row_json.ITEM_COLUMNS :]) if _is_new(row) else None, row.revision
    )


def _is_new(row: Any) -> bool:
    return bool(row.alive) and row.overview is not None


def _read_and_record(actor: Actor, values: Mapping[str, Any], obj: Mapping[str, Any]) -> Any:
    prepared = audit.prepared(Event.ITEM_READ, account_id=actor.account_id, obj=obj)
    with prepared as event:
        statement = _item_and_event(session_check.sql())
        row = statement.alone({**values, **event.parameters}).one()
        if _is_new(row) and not row.told:
            raise AuditUnavailable  # how much of the event stands is not known: nothing is `done`
        event.done(inserted=row.told)
    return row


def list_items(
    actor: Actor, vault_id: UUID, *, limit: int, **chosen: Any
) -> tuple[list[str], str | None]:
    """Read the overviews of one page, in the order of the ids.

    :param chosen: ``state``; ``type`` and ``after`` (an id), or None.
    :return: items as JSON, and the id after which the next page begins.
    :raises Unauthenticated, VaultNotFound: as `glance`.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    statement = _list(session_check.sql(), "type" in given, "after" in given)
    values = parameters(actor, vault_id=vault_id, limit=limit + 1, **given)
    found = statement.alone(values)
    check(found[0])
    items = [row[-row_json.SUMMARY_COLUMNS :] for row in found if row.revision is not None]
    last = items[limit - 1][0] if len(items) > limit else None
    return [row_json.summary_json(row) for row in items[:limit]], last


def check(row: Any) -> None:
    """Check what every statement of `statement` finds out.

    :raises Unauthenticated: the session is dead.
    :raises VaultNotFound: there is no such vault that the actor may read.
    """
    if not row.alive:
        raise Unauthenticated
    if not row.owned:
        raise VaultNotFound


def parameters(actor: Actor, **more: Any) -> dict[str, Any]:
    """Return what a statement of `statement` asks for."""
    return session_check.parameters(actor) | more


def statement(alive_sql: str, columns: str, more: str = "") -> str:
    """Return a statement that finds out ``alive`` and ``owned`` besides what is asked for."""
    proof = f"{alive_sql} AS alive, v.revision IS NOT NULL AS owned"
    return f"SELECT {proof}, {columns} {OWN_VAULT} {more}"  # nosec B608 - made of our words alone


@per_database
def _glance(alive_sql: str) -> Statement:
    return Statement(statement(alive_sql, "v.revision, v.head"))


@per_database
def _look(alive_sql: str) -> Statement:
    columns = (
        f"{row_json.id_text('v.id')} AS id, {row_json.time_text('v.created_at')} AS created_at,"
        " v.generation, v.rotating, v.revision, v.head, v.overview, v.overview_revision,"
        " v.overview_generation, v.active, v.trash, v.item_bytes,"
        f" k.generation AS wrap_generation, k.sealed_key, {row_json.entry_columns()}"
    )
    more = (
        "LEFT JOIN vault_keys k ON k.vault_id = v.id AND k.holder_id = :account"
        " LEFT JOIN entries e ON e.vault_id = v.id AND e.n = v.revision ORDER BY k.generation"
    )
    return Statement(statement(alive_sql, columns, more))


def _item_sql(alive_sql: str) -> str:
    new = "CASE WHEN i.revision <> :known THEN i.{0} END AS {0}".format
    columns = f"{row_json.item_columns()}, {new('overview')}, {new('detail')}"
    more = "LEFT JOIN items i ON i.vault_id = v.id AND i.id = :item_id"
    return statement(alive_sql, columns, more)


@per_database
def _item(alive_sql: str) -> Statement:
    return Statement(_item_sql(alive_sql))


@per_database
def _item_and_event(alive_sql: str) -> Statement:
    # The commit need not wait for the disk: what a crash can lose is under a second of reads,
    # whose answers have left. Set where it is evaluated once, in this statement's transaction.
    return Statement(
        f"WITH found AS ({_item_sql(alive_sql)}),"  # nosec B608 - made of our words alone
        " new AS (SELECT set_config('synchronous_commit', 'off', true) FROM found"
        " WHERE alive AND overview IS NOT NULL),"
        f" {Prepared.ctes('new')} SELECT EXISTS (SELECT 1 FROM pend) AS told, * FROM found"
    )


@per_database
def _list(alive_sql: str, of_type: bool, after: bool) -> Statement:
    # The page is chosen before it is joined, so that it is read along the index.
    page = (
        f"SELECT {row_json.item_columns()}, i.overview FROM items i"  # nosec B608 - our words alone
        " WHERE i.vault_id = :vault_id AND i.state = :state"
        f"{' AND i.type = :type' if of_type else ''}{' AND i.id > :after' if after else ''}"
        " ORDER BY i.id LIMIT :limit"
    )
    more = f"LEFT JOIN ({page}) p ON v.id IS NOT NULL ORDER BY p.id"
    return Statement(statement(alive_sql, "p.*", more))
