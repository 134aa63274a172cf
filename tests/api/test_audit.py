"""Events commit with what they tell of, in chains that hold whatever becomes of a transaction."""

from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from vaultr import keys
from vaultr.audit import chain, service
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditPending
from vaultr.database.session import db, transaction


def events():
    """Read all events that stand, and prove that every chain holds."""
    db.session.rollback()
    rows = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.t)).all()
    pending = set(db.session.scalars(sa.select(AuditPending.event_id)))
    db.session.rollback()
    assert chain.verify(rows, keys.current().audit.keys.by_id) == []
    assert pending == {row.event_id for row in rows}
    return [row for row in rows if row.typ != Event.WRITER_START]


def record(event=Event.VAULT_CREATE, **more):
    return service.record(event, account_id=uuid4(), **more)


def test_an_event_commits_with_its_transaction(app):
    with app.app_context():
        with transaction():
            event_id = record(obj={"kind": "vault", "id": "v"})

        assert [row.event_id for row in events()] == [event_id]


def test_a_transaction_undone_leaves_no_event_and_no_gap(app):
    with app.app_context():
        with transaction():
            record()
        with pytest.raises(ZeroDivisionError), transaction():
            record()
            record()
            raise ZeroDivisionError
        with transaction():
            record()

        assert [row.writer_seq for row in events()] == [1, 2]
