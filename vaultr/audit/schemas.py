"""What crosses the wire of the audit log."""

from pydantic import Field

from vaultr.audit.models import AuditEvent
from vaultr.wire import field_types


class EventsQuery(field_types.Page):
    """Which events: of one type or family (``auth``, ``auth.login``), from a time until another."""

    action: str | None = Field(default=None, pattern=r"^[a-z]+(?:[.-][a-z]+)*$", max_length=64)
    since: field_types.Time | None = Field(default=None, alias="from")
    until: field_types.Time | None = Field(default=None, alias="to")


class EventView(field_types.Out):
    """One event. ``body`` is exactly what was hashed; the last four are null until sequenced."""

    id: field_types.Id
    body: str
    prev: field_types.Bytes32
    mac: field_types.Bytes32
    epoch: int | None = None
    index: int | None = None
    subject_seq: int | None = None
    subject_prev: field_types.Bytes32 | None = None

    @classmethod
    def of(cls, event: AuditEvent) -> "EventView":
        """Show a row."""
        return cls(id=event.event_id, body=event.body.decode(), prev=event.prev_hash, mac=event.mac)


class EventsView(field_types.Out):
    """A page of events, newest first."""

    events: list[EventView]
    next_cursor: str | None
