"""Measure how far the trees lag behind the events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from vaultr import clock
from vaultr.audit.models import AuditEvent, AuditPending
from vaultr.database.base import Fact
from vaultr.database.session import reading

# The sequencer stores this fact when the backlog is first empty. Until then the lag limits do not
# apply, because they would make an existing installation read-only.
SEQUENCED: Final = "audit/sequenced"


@dataclass(frozen=True, slots=True)
class LagView:
    """The age of the oldest event that no tree includes.

    :ivar seconds: None until the backlog was empty once.
    """

    seconds: float | None

    @staticmethod
    def columns() -> tuple[Any, Any]:
        """Return the columns for `of`: whether the limits apply, and the oldest event's time."""
        # A UUIDv7 begins with its time, so ids are roughly in order of time. The lag is measured
        # from the event's own time: if a clock is set back, ids continue from the later time.
        first = sa.select(AuditPending.event_id).order_by(AuditPending.event_id).limit(1)
        oldest = sa.select(AuditEvent.t).where(AuditEvent.event_id == first.scalar_subquery())
        applies = sa.exists().where(Fact.name == SEQUENCED)
        return applies.label("applies"), oldest.scalar_subquery().label("oldest")

    @classmethod
    def of(cls, applies: bool, oldest: datetime | None, now: datetime) -> "LagView":
        """Compute the lag from the values of `columns`."""
        if not applies:
            return cls(None)
        return cls(0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()))


def seconds() -> float | None:
    """Return the lag in seconds; None until the backlog was empty once."""
    with reading() as session:
        applies, oldest = session.execute(sa.select(*LagView.columns())).one()
    return LagView.of(applies, oldest, clock.now()).seconds
