"""Read the audit log and check its chains."""

import json

import sqlalchemy as sa
import time_machine

from vaultr import clock
from vaultr.audit import chain, checkpoints, sequencer, tree
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditLeaf, AuditPending
from vaultr.database.session import db, reading
from vaultr.security import keyring


def everything():
    """Return all stored events, oldest first, and check every chain."""
    db.session.rollback()
    events = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.t)).all()
    waiting = set(db.session.scalars(sa.select(AuditPending.event_id)))
    waiting |= set(db.session.scalars(sa.select(AuditLeaf.event_id)))
    db.session.rollback()
    assert chain.verify(events, keyring.current().audit.keys.by_id) == []
    assert waiting == {event.event_id for event in events}
    return events


def events():
    """Return all events except starts of writers."""
    return [event for event in everything() if event.typ != Event.WRITER_START]


def starts():
    """Return the starts of writers as (id, predecessor, how the predecessor ended)."""
    found = [event for event in everything() if event.typ == Event.WRITER_START]
    events = [(event.writer_id.hex(), body(event)["obj"]) for event in found]
    return [(writer, obj["predecessor"], obj["end"]) for writer, obj in events]


def body(event):
    """Return the parsed body of an event."""
    return json.loads(event.body)


def sequence_all(*, covered=True):
    """Run the sequencer without waiting, until a published checkpoint covers every event.

    :param covered: False if some events must wait.
    """
    with time_machine.travel(clock.now(), tick=False) as traveller:
        for _ in range(100):
            sequencer.sequence()
            traveller.shift(1)
            with reading() as session:
                waits = session.scalar(sa.select(sa.exists(sa.select(AuditPending.event_id))))
                newest = checkpoints.newest(session)
                whole = newest is not None and newest.checkpoint.size == tree.size(
                    session, newest.checkpoint.epoch
                )
            if whole and not waits:
                return
    assert not covered, f"the signer is halted: {sequencer.current().halted}"
