"""How far the tree of audit events is behind: off until a sequencer has run once."""

from typing import Final

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit.models import AuditEvent, AuditPending
from vaultr.database.base import Fact
from vaultr.database.session import reading

# The sequencer writes this fact at its first checkpoint; before it every event waits, rightly.
SEQUENCED: Final = "audit/sequenced"


def seconds() -> float | None:
    """Give the age of the oldest event that no checkpoint covers; None before any sequencer."""
    with reading() as work:
        if work.get(Fact, SEQUENCED) is None:
            return None
        # A UUIDv7 begins with its time, so the key's order is the order of time, roughly: ids never
        # go back, also when a clock was ahead and is right again. The event tells its own time.
        first = sa.select(AuditPending.event_id).order_by(AuditPending.event_id).limit(1)
        written = work.scalars(
            sa.select(AuditEvent.t).where(AuditEvent.event_id == first.scalar_subquery())
        ).one_or_none()
    if written is None:
        return 0.0
    return max(0.0, (clock.now() - written).total_seconds())
