"""The vaults of an account as records of its archive, read in batches."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.database.sql import Statement, per_database
from vaultr.protocol.encoding import b64
from vaultr.vault import row_json
from vaultr.vault.access import OWNER
from vaultr.vault.models import VAULT_KEYS, VAULTS

# Items or versions in one batch: with at most 64 KiB in a row, a batch takes about 3 MiB.
ROWS_A_BATCH: Final = 50
ENTRIES_A_BATCH: Final = 1_000

Records = Iterator[str]


def archive_vaults(work: Session, account_id: UUID) -> Iterator[tuple[str, dict[str, Records]]]:
    """Yield each vault of an account as JSON, and its records by their kind.

    Read all records of a vault before the next vault. Each kind is read in batches, so that memory
    use does not grow with the vault.
    """
    mine = sa.select(VAULTS).where(VAULTS.c.account_id == account_id).order_by(VAULTS.c.id)
    for row in work.execute(mine).all():
        yield (
            _vault(work, row),
            {
                "items": _records(work, row.id, _items(), row_json.item_json),
                "versions": _records(work, row.id, _versions(), _version_json),
                "entries": _records(
                    work, row.id, _entries(), row_json.entry_json, size=ENTRIES_A_BATCH
                ),
            },
        )


def _vault(work: Session, row: Any) -> str:
    wraps = (
        sa.select(VAULT_KEYS.c.generation, VAULT_KEYS.c.sealed_key)
        .where(VAULT_KEYS.c.vault_id == row.id, VAULT_KEYS.c.role == OWNER)
        .order_by(VAULT_KEYS.c.generation)
    )
    vault = {
        "id": str(row.id),
        "keys": [
            {"generation": wrap[0], "sealed_key": b64(wrap[1])} for wrap in work.execute(wraps)
        ],
        "overview": b64(row.overview),
        "overview_revision": row.overview_revision,
        "overview_generation": row.overview_generation,
        "generation": row.generation,
        "rotating": bool(row.rotating),
        "revision": row.revision,
        "head": b64(row.head),
        "counts": {"active": row.active, "trash": row.trash},
        "bytes": row.item_bytes,
        "created_at": clock.text(row.created_at),
    }
    return json.dumps(vault, separators=(",", ":"))


def _records(
    work: Session,
    vault_id: UUID,
    statement: Statement,
    to_json: Callable[[Sequence[Any]], str],
    *,
    size: int = ROWS_A_BATCH,
) -> Records:
    """Yield the rows of a statement as JSON; their first column is an increasing number."""
    before = 0
    while True:
        values = {"vault_id": vault_id, "before": before, "limit": size}
        rows = statement.run(work.connection(), values)
        for row in rows:
            yield to_json(row[1:])
        if len(rows) < size:
            return
        before = rows[-1][0]


def _version_json(row: Sequence[Any]) -> str:
    item_id, revision, kind, generation, size, created_at, overview, detail = row
    return (
        f'{{"item_id":"{item_id}","revision":{revision},"type":"{kind}",'
        f'"generation":{generation},"size":{size},"created_at":"{created_at}",'
        f'"overview":"{row_json.b64(overview)}","detail":"{row_json.b64(detail)}"}}'
    )


@per_database
def _items() -> Statement:
    return Statement(
        f"SELECT i.revision AS place, {row_json.item_columns()}, i.overview, i.detail"  # nosec B608 - constants only
        " FROM items i WHERE i.vault_id = :vault_id AND i.revision > :before"
        " ORDER BY i.revision LIMIT :limit"
    )


@per_database
def _versions() -> Statement:
    # The current content of an item is in its own record.
    return Statement(
        f"SELECT w.revision AS place, {row_json.id_text('w.item_id')} AS item_id, w.revision,"  # nosec B608 - constants only
        " w.type, w.generation, w.size,"
        f" {row_json.time_text('w.created_at')} AS created_at, w.overview, w.detail"
        " FROM versions w LEFT JOIN items i ON i.vault_id = w.vault_id AND i.id = w.item_id"
        " WHERE w.vault_id = :vault_id AND w.revision > :before"
        " AND i.content_revision IS DISTINCT FROM w.revision"
        " ORDER BY w.revision LIMIT :limit"
    )


@per_database
def _entries() -> Statement:
    return Statement(
        f"SELECT e.n AS place, {row_json.entry_columns()} FROM entries e"  # nosec B608 - constants only
        " WHERE e.vault_id = :vault_id AND e.n > :before ORDER BY e.n LIMIT :limit"
    )
