"""How many bytes of old versions a vault keeps: beyond that the oldest go, whichever item's."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from vaultr.database.sql import Statement
from vaultr.protocol.sizes import MIB

# A little more goes than must, so that one write in many pays for passing by what is current.
_SPARE_PART: Final = 64
_SPARE_BYTES: Final = 4 * MIB
_ROWS_A_STEP: Final = 1_000
# No more go in one write; where a budget was lowered, the writes after it go on.
_MOST_A_WRITE: Final = 20_000

_CURRENT: Final = (
    "(SELECT i.content_revision FROM items i WHERE i.vault_id = w.vault_id AND i.id = w.item_id)"
)
_EXCESS: Final = Statement(
    "SELECT version_bytes - item_bytes - :budget FROM vaults WHERE id = :vault_id"
)
_OLDEST: Final = Statement(
    "SELECT w.revision, w.size FROM versions w WHERE w.vault_id = :vault_id"  # nosec B608 - our words alone
    f" AND w.revision > :past AND w.revision <> {_CURRENT} ORDER BY w.revision LIMIT :rows"
)
_DROP: Final = Statement(
    "UPDATE vaults SET version_bytes = version_bytes - :freed WHERE id = :vault_id",
    "DELETE FROM versions AS w"  # nosec B608 - our words alone
    " WHERE w.vault_id = :vault_id AND w.revision >= :first AND w.revision <= :last"
    f" AND w.revision <> {_CURRENT}",
)


def keep(connection: sa.Connection, vault_id: UUID, budget: int) -> None:
    """Let the oldest versions go until the old ones of the locked vault fit its budget.

    What is current is no old version, however long ago it was put.

    :param budget: bytes that all versions together may have which are not current.
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
    """Give revision and size of what is not current, the oldest first."""
    past = 0
    while True:
        values = {"vault_id": vault_id, "past": past, "rows": _ROWS_A_STEP}
        found = _OLDEST.run(connection, values).all()
        yield from found
        if len(found) < _ROWS_A_STEP:
            return
        past = found[-1].revision
