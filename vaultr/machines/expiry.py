"""Machines that expire: email their owners a week before, and count expired ones."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.auth import service as auth
from vaultr.database.session import postgresql, reading, transaction
from vaultr.machines import emails
from vaultr.machines.models import MACHINES
from vaultr.mail import service as mail

NOTICES_A_ROUND: Final = 100


@dataclass(frozen=True, slots=True)
class MachineCounts:
    """The numbers of all machines, and of those that have expired."""

    all: int
    expired: int


def send_notices() -> bool:
    """Send the emails that are due, one for each machine; return whether more may be due.

    The email is stored in the transaction that marks its machine, so no machine gets two.
    """
    due = (
        sa.select(MACHINES.c.id, MACHINES.c.account_id, MACHINES.c.name, MACHINES.c.expires_at)
        .where(MACHINES.c.notice_at <= clock.now())
        .order_by(MACHINES.c.notice_at)
        .limit(NOTICES_A_ROUND)
    )
    if postgresql():
        due = due.with_for_update(skip_locked=True)
    with transaction() as work:
        rows = work.execute(due).all()
        for row in rows:
            if row.expires_at > clock.now():
                email = emails.expires_soon(row.name, row.expires_at)
                mail.send(email, auth.owner_address(work, row.account_id))
        ids = [row.id for row in rows]
        work.execute(sa.update(MACHINES).where(MACHINES.c.id.in_(ids)).values(notice_at=None))
    return len(rows) == NOTICES_A_ROUND


def count_machines() -> MachineCounts:
    """Count all machines, and those that have expired."""
    expired = sa.case((MACHINES.c.expires_at <= clock.now(), 1), else_=0)
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(expired), 0))
    with reading() as work:
        return MachineCounts(*work.execute(query.select_from(MACHINES)).one())


def summaries(account_id: UUID) -> list[dict[str, str | None]]:
    """Return an account's machines as operators see them: no names, vaults or networks."""
    query = sa.select(MACHINES).where(MACHINES.c.account_id == account_id)
    with reading() as work:
        rows = work.execute(query.order_by(MACHINES.c.created_at, MACHINES.c.id)).all()
    return [
        {
            "id": str(row.id),
            "created_at": clock.text(row.created_at),
            "expires_at": clock.text(row.expires_at),
            "last_used_at": None if row.last_used_at is None else clock.text(row.last_used_at),
        }
        for row in rows
    ]
