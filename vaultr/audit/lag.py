"""How far the tree of audit events is behind: off until a sequencer has run once."""

from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit.models import AuditPending
from vaultr.database.schema import Fact
from vaultr.database.session import reading

# The sequencer writes this fact at its first checkpoint; before it every event waits, rightly.
SEQUENCED: Final = "audit/sequenced"


def seconds() -> float | None:
    """Give the age of the oldest event that no checkpoint covers; None before any sequencer."""
    with reading() as work:
        if work.get(Fact, SEQUENCED) is None:
            return None
        # A UUIDv7 begins with its time, so the key's order is the order of time.
        oldest = work.scalars(
            sa.select(AuditPending.event_id).order_by(AuditPending.event_id).limit(1)
        ).one_or_none()
    if oldest is None:
        return 0.0
    written = datetime.fromtimestamp((oldest.int >> 80) / 1000, UTC)
    return max(0.0, (clock.now() - written).total_seconds())
