"""Read earlier contents of an item, each with the log entry of its put."""

from typing import Any
from uuid import UUID

from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import transaction
from vaultr.database.sql import Statement, per_database
from vaultr.errors import NotFound
from vaultr.request_context import Actor
from vaultr.settings.model import current_settings
from vaultr.vault import access, fast_reads, row_json
from vaultr.vault.access import Access
from vaultr.vault.errors import ItemNotFound
from vaultr.wire.strict_json import MAX_INTEGER


def list_versions(
    actor: Actor, vault_id: UUID, item_id: UUID, *, before: int | None, limit: int
) -> tuple[list[str], int | None]:
    """Read one page of an item's versions without their details, newest first.

    The page ends at ``limit`` or `PAGE_BYTES`.

    :return: versions as JSON, and the revision before which the next page starts.
    :raises Unauthenticated, VaultNotFound: see `fast_reads.read_head`.
    :raises ItemNotFound: no such item exists.
    """
    place = {"before": MAX_INTEGER if before is None else before, "limit": limit + 1}
    place["bytes"] = current_settings().page_bytes
    values = access.parameters(actor, vault_id=vault_id, item_id=item_id, **place)
    found = _list(access.of(actor)).alone(values)
    access.check(found[0])
    if not found[0].there:
        raise ItemNotFound
    stored = [row for row in found if row.revision is not None]
    shown = [row for row in stored[:limit] if row.overview is not None]
    more = len(stored) > len(shown)
    return [_json(row) for row in shown], shown[-1].revision if more else None


def read_version(actor: Actor, vault_id: UUID, item_id: UUID, revision: int) -> str:
    """Read one version with its detail as JSON, and record an audit event.

    :raises Unauthenticated, VaultNotFound: see `fast_reads.read_head`.
    :raises ItemNotFound: no such item exists.
    :raises NotFound: the item has no version of this revision, or it was deleted.
    :raises AuditUnavailable: the event could not be recorded, so the version is not returned.
    """
    values = access.parameters(actor, vault_id=vault_id, item_id=item_id, revision=revision)
    with transaction(durable=False) as session:
        row = _one(access.of(actor)).run(session.connection(), values).one()
        access.check(row)
        if not row.there:
            raise ItemNotFound
        if row.revision is None:
            raise NotFound("The item has no version of this revision. It may have been deleted.")
        obj = {"kind": "vault", "id": str(vault_id), "items": [str(item_id)], "revision": revision}
        record(Event.ITEM_READ, account_id=actor.account_id, obj=obj)
    return _json(row, detail=row.detail)


def _json(row: Any, *, detail: bytes | None = None) -> str:
    entry = row_json.entry_json(row[-row_json.ENTRY_COLUMNS :])
    secret = "" if detail is None else f'"detail":"{row_json.b64(detail)}",'
    return (
        f'{{"revision":{row.revision},"type":"{row.type}","generation":{row.generation},'
        f'"size":{row.size},"created_at":"{row.created_at}","overview":"{row_json.b64(row.overview)}",'
        f'{secret}"entry":{entry}}}'
    )


def _sql(actor: Access, columns: str, which: str, overview: str = "w.overview") -> str:
    # Choose the page before the join, so that the index is used.
    page = (
        f"SELECT w.revision, w.type, w.generation, w.size, {overview}, {columns}"  # nosec B608 - constants only
        f" {row_json.time_text('w.created_at')} AS created_at, {row_json.entry_columns()}"
        " FROM versions w JOIN entries e ON e.vault_id = w.vault_id AND e.n = w.revision"
        f" WHERE w.vault_id = :vault_id AND w.item_id = :item_id AND {which}"
    )
    more = (
        "LEFT JOIN items i ON i.vault_id = v.id AND i.id = :item_id"
        f" LEFT JOIN ({page}) p ON i.id IS NOT NULL ORDER BY p.revision DESC"
    )
    return fast_reads.statement(actor, "i.id IS NOT NULL AS there, p.*", more)


@per_database
def _list(actor: Access) -> Statement:
    which = "w.revision < :before ORDER BY w.revision DESC LIMIT :limit"
    # Rows over the byte limit of a page have no overview. The first row always fits.
    size = "length(w.overview)"
    total = f"sum({size}) OVER (ORDER BY w.revision DESC ROWS UNBOUNDED PRECEDING)"
    fits = f"{total} <= :bytes OR {total} = {size}"
    return Statement(_sql(actor, "", which, f"CASE WHEN {fits} THEN w.overview END AS overview"))


@per_database
def _one(actor: Access) -> Statement:
    return Statement(_sql(actor, "w.detail,", "w.revision = :revision"))
