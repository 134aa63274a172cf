"""Delete a vault with its contents, in one transaction of many small steps."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit.events import Event
from vaultr.audit.service import record
from vaultr.database.session import transaction
from vaultr.database.sql import Statement
from vaultr.protocol.encoding import b64
from vaultr.request_context import Actor
from vaultr.vault.locking import lock_vault
from vaultr.vault.models import VAULTS

# A statement may take 4.5 s, and a vault's log has no limit; 20,000 rows take about 0.1 s.
REVISIONS_A_STEP: Final = 20_000

_SPAN: Final = "WHERE vault_id = :vault_id AND {0} > :before AND {0} <= :before + :step"
_STEP: Final = Statement(
    *(
        f"DELETE FROM {table} {_SPAN.format(number)}"  # nosec B608 - constants only
        for table, number in (
            ("versions", "revision"),
            ("items", "revision"),
            ("removed_items", "revision"),
            ("entries", "n"),
        )
    )
)
_LAST: Final = Statement("DELETE FROM vaults WHERE id = :vault_id")


def delete_vault(actor: Actor, vault_id: UUID) -> None:
    """Delete a vault with its keys, items, versions and log; only its audit events remain.

    A writer that waits for the vault's lock then gets `VaultNotFound`.

    :raises Unauthenticated, VaultNotFound: see `lock_vault`.
    """
    with transaction() as session:
        connection = session.connection()
        row = lock_vault(connection, actor, vault_id)
        obj = {"kind": "vault", "id": str(vault_id), "to": row.revision, "head": b64(row.head)}
        record(Event.VAULT_DELETE, account_id=actor.account_id, obj=obj)
        _delete(connection, vault_id, row)


def delete_all_of(session: Session, account_id: UUID) -> None:
    """Delete all vaults of an account. The caller has locked the account against other writes.

    The vaults have no separate events; the deletion of the account has one event.
    """
    vaults = sa.select(VAULTS.c.id, VAULTS.c.revision).where(VAULTS.c.account_id == account_id)
    for row in session.execute(vaults.order_by(VAULTS.c.id)).all():
        _delete(session.connection(), row.id, row)


def _delete(connection: sa.Connection, vault_id: UUID, row: Any) -> None:
    for before in range(0, row.revision, REVISIONS_A_STEP):
        _STEP.run(connection, {"vault_id": vault_id, "before": before, "step": REVISIONS_A_STEP})
    _LAST.run(connection, {"vault_id": vault_id})
