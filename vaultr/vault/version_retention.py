"""Delete the oldest versions of a vault when old versions exceed its quota of bytes."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from vaultr.database.sql import Statement
from vaultr.protocol.sizes import MIB

# Delete slightly more than necessary, so that few writes have to scan past current versions.
_SPARE_PART: Final = 64
_SPARE_BYTES: Final = 4 * MIB
_ROWS_A_STEP: Final = 1_000
# Maximum for one write; after a quota was lowered, later writes continue.
_MOST_A_WRITE: Final = 20_000

_CURRENT: Final = (
    "(SELECT i.content_revision FROM items i WHERE i.vault_id = w.vault_id AND i.id = w.item_id)"
)
_EXCESS: Final = Statement(
    "SELECT version_bytes - item_bytes - :budget FROM vaults WHERE id = :vault_id"
)
_OLDEST: Final = Statement(
    "SELECT w.revision, w.size FROM versions w WHERE w.vault_id = :vault_id"  # nosec B608 - constants only
    f" AND w.revision > :past AND w.revision <> {_CURRENT} ORDER BY w.revision LIMIT :rows"
)
_DROP: Final = Statement(
    "UPDATE vaults SET version_bytes = version_bytes - :freed WHERE id = :vault_id",
    "DELETE FROM versions AS w"  # nosec B608 - constants only
    " WHERE w.vault_id = :vault_id AND w.revision >= :first AND w.revision <= :last"
    f" AND w.revision <> {_CURRENT}",
)


def delete_oldest(connection: sa.Connection, vault_id: UUID, budget: int) -> None:
    """Delete the oldest versions of the locked vault until its old versions fit ``budget``.

    The current content of an item is never deleted, however old it is.

    :param budget: maximum bytes of all versions that are not current.
    """
    about = {"vault_id": vault_id}
    excess = _EXCESS.run(connection, {**about, "budget": budget}).scalar_one()
    if excess <= 0:
        return
    most = excess + min(budget // _SPARE_PART, _SPARE_BYTES)
    first, last, freed = 0, 0, 0
    for row in islice(_oldest(connection, vault_id), _MOST_A_WRITE):
        if freed >= excess and freed + row.size > most:
            break
        first, last, freed = first or row.revision, row.revision, freed + row.size
    if freed:
        _DROP.run(connection, {**about, "first": first, "last": last, "freed": freed})


def _oldest(connection: sa.Connection, vault_id: UUID) -> Iterator[Any]:
    """Yield revision and size of versions that are not current, oldest first."""
    past = 0
    while True:
        values = {"vault_id": vault_id, "past": past, "rows": _ROWS_A_STEP}
        found = _OLDEST.run(connection, values).all()
        yield from found
        if len(found) < _ROWS_A_STEP:
            return
        past = found[-1].revision
