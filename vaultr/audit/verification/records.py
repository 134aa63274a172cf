"""Check the log's records about itself: gaps, legal holds, prunes, redactions."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit import chain
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditHold, AuditPending
from vaultr.audit.verification.findings import Findings

TYPES: Final = frozenset({Event.LOG_GAP, Event.ADMIN_AUDIT, Event.LOG_PRUNE, Event.LOG_REDACT})


class Records:
    """Replays the events that describe the log, in the order of their leaves.

    :param holds: the legal holds at the start of an incremental run.
    """

    def __init__(self, findings: Findings, holds: Iterable[str] = ()) -> None:
        self._findings = findings
        self.holds = set(holds)
        self.redacted: set[str] = set()

    def take(self, place: tuple[int, int], typ: str, body: Mapping[str, Any]) -> None:
        """Take one event of `TYPES`."""
        obj = body.get("obj")
        if not isinstance(obj, dict):
            return
        epoch, index = place
        if typ == Event.LOG_GAP:
            says = f"the sequencer found event {obj.get('id')} faulty: {obj.get('reason')}"
            self._findings.tampered("gap", says, epoch=epoch, index=index)
        elif typ == Event.LOG_REDACT:
            self.redacted.add(str(obj.get("id")))
        elif typ == Event.LOG_PRUNE and self.holds:
            says = f"tree {obj.get('epoch')} was pruned under the hold {min(self.holds)}"
            self._findings.tampered("hold", says, epoch=epoch, index=index)
        else:
            _replay_hold(self.holds, obj)

    def check_holds(self, session: Session) -> None:
        """Check that the stored holds match those that the log has set and not lifted."""
        waiting = sa.select(AuditEvent.body).join(
            AuditPending, AuditPending.event_id == AuditEvent.event_id
        )
        expected = set(self.holds)
        query = waiting.where(AuditEvent.typ == Event.ADMIN_AUDIT.value).order_by(AuditEvent.t)
        for body in session.scalars(query):
            _replay_hold(expected, chain.object_of(body, Event.ADMIN_AUDIT) or {})
        for name in expected.symmetric_difference(session.scalars(sa.select(AuditHold.name))):
            says = f"the hold {name} was set or lifted without an event"
            self._findings.tampered("hold", says)


def _replay_hold(holds: set[str], obj: Mapping[str, Any]) -> None:
    """Set or lift a hold, if the event is about one."""
    if obj.get("kind") == "hold":
        change = holds.add if obj.get("action") == "set" else holds.discard
        change(str(obj.get("name")))
