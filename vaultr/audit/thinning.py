"""Thin out old checkpoints to one an hour; proofs for the removed sizes still work."""

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit.models import AuditCheckpoint
from vaultr.database.session import transaction

AGE: Final = timedelta(days=7)
_BATCH: Final = 10_000


def thin() -> int:
    """Delete a batch of old checkpoints, except the last one of each hour and tree.

    :return: number of deleted checkpoints.
    """
    with transaction() as session:
        query = (
            sa.select(AuditCheckpoint.epoch, AuditCheckpoint.size, AuditCheckpoint.created_at)
            .where(AuditCheckpoint.created_at < clock.now() - AGE)
            .order_by(AuditCheckpoint.epoch, AuditCheckpoint.size)
        )
        surplus: list[tuple[int, int]] = []
        last: tuple[tuple[int, datetime], int] | None = None
        for epoch, size, moment in session.execute(query):
            hour = (epoch, moment.replace(minute=0, second=0, microsecond=0))
            if last is not None and last[0] == hour:
                surplus.append((epoch, last[1]))
            last = (hour, size)
            if len(surplus) >= _BATCH:
                break
        for epoch, size in surplus:
            session.execute(
                sa.delete(AuditCheckpoint).where(
                    AuditCheckpoint.epoch == epoch, AuditCheckpoint.size == size
                )
            )
    return len(surplus)
