"""The wraps of vault keys under an account's key, for `rewrap`."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.database.session import lock_rows
from vaultr.vault.models import VAULT_KEYS, VAULTS


class KeyWraps:
    """The wraps of vault keys under an account's key; `auth.key_rewrap` calls it."""

    WRAPS: Final = "vaults"

    @staticmethod
    def wraps_of(
        session: Session, account_id: UUID, *, lock: bool
    ) -> Mapping[tuple[UUID, int], bytes]:
        """Return every wrap that an account holds, by vault and generation.

        :param lock: lock the vaults in the order of their ids, as every writer of wraps does. The
            caller has locked the account, so no vault can be created meanwhile.
        """
        held = sa.select(VAULT_KEYS.c.vault_id).where(VAULT_KEYS.c.holder_id == account_id)
        if lock:
            vaults = sa.select(VAULTS.c.id).where(VAULTS.c.id.in_(held)).order_by(VAULTS.c.id)
            lock_rows(session, vaults.with_for_update())
        return {
            (row.vault_id, row.generation): bytes(row.sealed_key)
            for row in _rows(session, account_id)
        }

    @staticmethod
    def replace_wraps(
        session: Session, account_id: UUID, wraps: Mapping[tuple[UUID, int], bytes], event_id: UUID
    ) -> None:
        """Replace each wrap by the one for the same vault and generation; roles do not change.

        This deletes the rows and inserts them again, because one statement can contain many
        inserts, but not many updates.
        """
        rows = [
            {
                **row._mapping,
                "sealed_key": wraps[row.vault_id, row.generation],
                "audit_event_id": event_id,
            }
            for row in _rows(session, account_id)
        ]
        session.execute(sa.delete(VAULT_KEYS).where(VAULT_KEYS.c.holder_id == account_id))
        session.execute(sa.insert(VAULT_KEYS), rows)


def _rows(session: Session, account_id: UUID) -> Any:
    mine = sa.select(VAULT_KEYS).where(VAULT_KEYS.c.holder_id == account_id)
    return session.execute(mine).all()
