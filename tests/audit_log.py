"""The audit log as tests read it: all that stands, whose chains must hold."""

import json

import sqlalchemy as sa

from vaultr.audit import chain
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditPending
from vaultr.database.session import db
from vaultr.security import keyring


def everything():
    """Read every event that stands, oldest first, and prove that every chain holds."""
    db.session.rollback()
    events = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.t)).all()
    pending = set(db.session.scalars(sa.select(AuditPending.event_id)))
    db.session.rollback()
    assert chain.verify(events, keyring.current().audit.keys.by_id) == []
    assert pending == {event.event_id for event in events}
    return events


def events():
    """Read what was recorded, but not that writers started."""
    return [event for event in everything() if event.typ != Event.WRITER_START]


def starts():
    """Read how writers started, as (id, predecessor, how that one ended)."""
    found = [event for event in everything() if event.typ == Event.WRITER_START]
    told = [(event.writer_id.hex(), body(event)["obj"]) for event in found]
    return [(writer, obj["predecessor"], obj["end"]) for writer, obj in told]


def body(event):
    """Give what an event's body says."""
    return json.loads(event.body)
