"""Sync: read a whole vault, or what changed since a revision, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import transaction
from vaultr.database.sql import Statement, per_database
from vaultr.errors import BadRequest, FieldError
from vaultr.protocol.encoding import b64
from vaultr.request_context import Actor
from vaultr.settings.model import current_settings
from vaultr.vault import row_json
from vaultr.vault.change_rules import Quota
from vaultr.vault.errors import HeadMoved
from vaultr.vault.fast_reads import VaultSnapshot, read_head, read_vault, read_vault_autocommit
from vaultr.vault.schemas import SyncQuery
from vaultr.vault.vaults import vault_view

IDS_AN_EVENT: Final = 500

Rows = Sequence[Any]


@dataclass(frozen=True, slots=True)
class SyncPage:
    """One page of a sync as JSON, and its ETag; ``body`` is None if nothing changed."""

    body: str | None
    tag: str | None


@dataclass(frozen=True, slots=True)
class _PageRows:
    """The rows of one page: revisions after the previous page, up to ``through``."""

    through: int
    items: Rows = ()
    removed: Rows = ()
    entries: Rows = ()


def sync(
    actor: Actor, vault_id: UUID, query: SyncQuery, known: str | None, quota: Quota
) -> SyncPage:
    """Read one page of a sync, in one snapshot.

    :param known: the ETag (a head) that the client has; used only together with ``since``.
    :raises BadRequest: ``after`` together with ``since``.
    :raises Unauthenticated, VaultNotFound: see `read_head`.
    :raises HeadMoved: the client has a revision that the vault has not reached.
    :raises AuditUnavailable: the event could not be recorded, so nothing is returned.
    """
    if query.after is not None and query.since > 0:
        raise BadRequest(errors=[FieldError("/query/after", "allowed with since=0 only")])
    if known is not None:
        revision, head = read_head(actor, vault_id)
        if query.since == revision and known == b64(head):
            return SyncPage(None, known)
    elif query.since > 0:
        seen = read_vault_autocommit(actor, vault_id)
        if query.since == seen.vault.revision:
            return _page(seen, _PageRows(query.since), quota)
    with transaction(snapshot=True, durable=False) as session:
        connection = session.connection()
        seen = read_vault(connection, actor, vault_id)
        found = _find(connection, vault_id, query, seen.vault)
        ids = [row[0] for row in found.items]
        for at in range(0, len(ids), IDS_AN_EVENT):
            obj = {"kind": "vault", "id": str(vault_id), "items": ids[at : at + IDS_AN_EVENT]}
            record(Event.ITEM_READ, account_id=actor.account_id, obj=obj)
    return _page(seen, found, quota)


def _find(connection: sa.Connection, vault_id: UUID, query: SyncQuery, vault: Any) -> _PageRows:
    before = query.since or query.after or 0
    if before > vault.revision:
        raise HeadMoved(
            "The vault has not reached this revision. The server may have lost data; sync in full.",
            members={"revision": vault.revision, "head": b64(vault.head)},
        )
    most = min(vault.revision, before + query.limit) if query.since else vault.revision
    span = {"vault_id": vault_id, "before": before, "most": most, "limit": query.limit}
    removed = _removed().run(connection, span).all()
    items = _items().run(connection, {**span, "bytes": current_settings().page_bytes}).all()
    found = _truncate(_PageRows(most, items, removed), query.limit)
    if not query.since:
        return found
    entries = _entries().run(connection, {**span, "most": found.through}).all()
    return replace(found, entries=entries)


def _truncate(found: _PageRows, limit: int) -> _PageRows:
    """End the page at its limit of rows or bytes."""
    through = found.through
    revisions = sorted(row.revision for row in (*found.items, *found.removed))
    if len(revisions) > limit:
        through = revisions[limit - 1]
    too_much = next((row.revision for row in found.items if row.detail is None), None)
    if too_much is not None:
        through = min(through, too_much - 1)
    items = [row for row in found.items if row.revision <= through]
    removed = [row for row in found.removed if row.revision <= through]
    return _PageRows(through, items, removed)


def _page(seen: VaultSnapshot, found: _PageRows, quota: Quota) -> SyncPage:
    vault = seen.vault
    more = found.through < vault.revision
    head = b64(vault.head)
    parts = {
        "items": row_json.array(map(row_json.item_json, found.items)),
        "removed": row_json.array(map(row_json.removed_json, found.removed)),
        "entries": row_json.array(map(row_json.entry_json, found.entries)),
        "vault": vault_view(vault, seen.wraps, quota).model_dump_json(),
        "through": str(found.through),
        "more": "true" if more else "false",
        "revision": str(vault.revision),
        "head": f'"{head}"',
        "head_entry": seen.head_entry,
    }
    body = ",".join([f'"{name}":{part}' for name, part in parts.items()])
    return SyncPage(f"{{{body}}}", None if more else head)


@per_database
def _removed() -> Statement:
    return Statement(
        f"SELECT {row_json.id_text('r.item_id')}, r.revision"  # nosec B608 - constants only
        " FROM removed_items r"
        " WHERE r.vault_id = :vault_id AND r.revision > :before AND r.revision <= :most"
        " ORDER BY r.revision LIMIT :limit + 1"
    )


@per_database
def _entries() -> Statement:
    return Statement(
        f"SELECT {row_json.entry_columns()} FROM entries e"  # nosec B608 - constants only
        " WHERE e.vault_id = :vault_id AND e.n > :before AND e.n <= :most ORDER BY e.n"
    )


@per_database
def _items() -> Statement:
    # Rows over the byte limit of a page have no sealed parts, which shows where the page ends. The
    # first row always fits.
    fits = "CASE WHEN i.total <= :bytes OR i.total = i.size THEN i.{0} END AS {0}".format
    return Statement(
        f"SELECT {row_json.item_columns()}, {fits('overview')}, {fits('detail')}"  # nosec B608 - constants only
        " FROM (SELECT *,"
        " sum(size) OVER (ORDER BY revision ROWS UNBOUNDED PRECEDING) AS total FROM items"
        " WHERE vault_id = :vault_id AND revision > :before AND revision <= :most"
        " ORDER BY revision LIMIT :limit + 1) i ORDER BY i.revision"
    )
