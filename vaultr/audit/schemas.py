"""What crosses the wire of the audit log."""

from pydantic import Field

from vaultr import wire
from vaultr.audit.models import AuditEvent


class EventsQuery(wire.Page):
    """Which events: of one type or family (``auth``, ``auth.login``), from a time until another."""

    action: str | None = Field(default=None, pattern=r"^[a-z]+(?:[.-][a-z]+)*$", max_length=64)
    since: wire.Time | None = Field(default=None, alias="from")
    until: wire.Time | None = Field(default=None, alias="to")


class EventView(wire.Out):
    """One event. ``body`` is exactly what was hashed; the last four are null until sequenced."""

    id: wire.Id
    body: str
    prev: wire.Bytes32
    mac: wire.Bytes32
    epoch: int | None = None
    index: int | None = None
    subject_seq: int | None = None
    subject_prev: wire.Bytes32 | None = None

    @classmethod
    def of(cls, event: AuditEvent) -> "EventView":
        """Show a row."""
        return cls(id=event.event_id, body=event.body.decode(), prev=event.prev_hash, mac=event.mac)


class EventsView(wire.Out):
    """A page of events, newest first."""

    events: list[EventView]
    next_cursor: str | None
