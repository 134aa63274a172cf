"""The keys of machines, sealed under an account's key, for `rewrap`."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.database.session import lock_rows
from vaultr.machines.models import MACHINES


class MachineKeyWraps:
    """The `sealed_kek` of each machine; `auth.key_rewrap` calls it."""

    WRAPS: Final = "machines"

    @staticmethod
    def wraps_of(
        session: Session, account_id: UUID, *, lock: bool
    ) -> Mapping[tuple[UUID, int], bytes]:
        """Return the wrap of every machine of an account, by its id and generation 0.

        :param lock: lock the machines. The caller has locked the account, so none can be created
            meanwhile.
        """
        mine = MACHINES.c.account_id == account_id
        if lock:
            ids = sa.select(MACHINES.c.id).where(mine).order_by(MACHINES.c.id)
            lock_rows(session, ids.with_for_update())
        rows = session.execute(sa.select(MACHINES.c.id, MACHINES.c.sealed_kek).where(mine))
        return {(row.id, 0): bytes(row.sealed_kek) for row in rows}

    @staticmethod
    def replace_wraps(
        session: Session, account_id: UUID, wraps: Mapping[tuple[UUID, int], bytes], event_id: UUID
    ) -> None:
        """Replace the wrap of each machine; tokens and rights stay the same."""
        statement = (
            sa.update(MACHINES)
            .where(MACHINES.c.account_id == account_id, MACHINES.c.id == sa.bindparam("machine_id"))
            .values(
                sealed_kek=sa.bindparam("sealed"),
                revision=MACHINES.c.revision + 1,
                audit_event_id=event_id,
            )
        )
        rows = [{"machine_id": name[0], "sealed": sealed} for name, sealed in wraps.items()]
        session.connection().execute(statement, rows)
