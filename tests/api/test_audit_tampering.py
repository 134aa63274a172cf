"""The detection matrix: each way to tamper with all database rights, and what detects it."""

import contextlib
import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests import factories
from tests.harness import app_fixtures, audit_failures, audit_log
from tests.harness.audit_tampering import (
    ANN,
    BOB,
    an_event,
    anchor,
    as_stored,
    change,
    checks,
    edit,
    rebuild_chain,
    rebuild_tree,
    record,
    stored,
    verify,
)
from vaultr import clock
from vaultr.audit import (
    chain,
    self_audit,
    sequencer,
    state_file,
    transaction_hooks,
)
from vaultr.audit.errors import AuditUnavailable, NothingToReopen
from vaultr.audit.models import AuditEvent
from vaultr.database.session import db, reading, transaction
from vaultr.protocol import merkle


@pytest.fixture
def log(here):
    """A log of some events, all sequenced, whose anchor is known."""
    for account in (ANN, BOB, ANN, BOB, ANN):
        record(account)
    audit_log.sequence_all()
    return here


def test_untouched_log_verifies(log):
    findings = verify(anchor(), cross=True)

    assert (findings.exit_code, findings.listed) == (0, [])
    assert findings.events == len(stored())


@pytest.mark.parametrize(
    "body",
    [
        b'{"typ":"log.epoch.open","obj":[1]}',
        b'{"typ":"log.epoch.open","obj":{"epoch":1,"previous_epoch":1e999,"leaves":1}}',
        b'{"typ":"log.epoch.open","obj":{"epoch":1,"previous_epoch":0,"leaves":1e30,"signer":null}}',
        b'{"typ":[1],"obj":{}}',
    ],
)
def test_malformed_opening_event_is_detected(log, body):
    edit(stored()[0], with_key=True, body=body)

    assert "root" in checks()


def test_edited_body_is_detected(log):
    row = an_event()
    change("UPDATE audit_event SET body = :b WHERE writer_seq = :n", b=b"{}", n=row["writer_seq"])

    found = verify()

    assert {"leaf", "hash", "mac"} <= {one.check for one in found.listed}
    assert found.exit_code == 1
    assert found.first_bad == (1, row["idx"])


@pytest.mark.parametrize("with_key", [False, True])
def test_edited_and_rehashed_event_is_detected(log, with_key):
    edit(an_event(), with_key=with_key)

    assert {"leaf", "writer"} <= checks()


@pytest.mark.parametrize("anchored", [False, True])
def test_edit_with_rebuilt_tree_is_detected(log, anchored):
    known = [anchor()] if anchored else []
    edit(an_event(), with_key=True)
    rebuild_tree()

    found = checks(*known)

    assert "writer" in found
    assert ("root" in found) == anchored


def test_rebuilt_chain_and_tree_are_detected_by_anchor(log):
    known, row = anchor(), an_event()
    edit(row, with_key=True)
    rebuild_chain(row)
    rebuild_tree()

    assert checks(known) == {"root"}


def test_rebuilt_chain_and_tree_without_anchor_are_not_detected(log):
    """This is why anchors exist, as the documentation says."""
    row = an_event()
    edit(row, with_key=True)
    rebuild_chain(row)
    rebuild_tree()

    assert checks() == set()


def test_signer_rejects_rebuilt_tree(log):
    row = an_event()
    edit(row, with_key=True)
    rebuild_chain(row)
    rebuild_tree()
    record()
    with time_machine.travel(clock.now() + timedelta(seconds=2)):
        sequencer.sequence()

    assert sequencer.current().halted == "database-forked"


@pytest.mark.parametrize("rebuilt", [False, True])
def test_deleted_event_is_detected(log, rebuilt):
    known, row = anchor(), an_event()
    change("DELETE FROM audit_event WHERE event_id = :e", e=row["event_id"])
    if rebuilt:
        rebuild_tree()

    assert checks(known) >= ({"writer", "truncated"} if rebuilt else {"event", "writer"})


def test_deleted_pending_event_inside_chain_is_detected(log):
    event_id = record()
    record()
    for table in ("audit_pending", "audit_event"):
        change(f"DELETE FROM {table} WHERE event_id = :e", e=as_stored(event_id))

    assert "writer" in checks()


def test_deleted_last_event_of_business_row_is_detected(log):
    factories.owner("tail@example.org")
    account = db.session.execute(
        sa.text("SELECT audit_event_id FROM accounts WHERE email = 'tail@example.org'")
    ).scalar_one()
    db.session.rollback()
    for table in ("audit_pending", "audit_event"):
        change(f"DELETE FROM {table} WHERE event_id = :e", e=account)

    assert "cross" in checks(cross=True)


@pytest.mark.parametrize("event_id", [UUID(int=0), UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")])
def test_business_row_with_impossible_event_id_is_detected(log, event_id):
    factories.owner("odd@example.org")
    change("UPDATE accounts SET audit_event_id = :e", e=as_stored(event_id))

    assert "cross" in checks(cross=True)


def test_change_fails_if_trigger_drops_its_event(log):
    with audit_failures.put("lost"), pytest.raises(AuditUnavailable):
        record()


def test_deleted_events_of_writer_are_detected_by_self_audit(log):
    record()
    change("DELETE FROM audit_pending")
    change("DELETE FROM audit_event WHERE event_id NOT IN (SELECT event_id FROM audit_leaf)")

    self_audit.run()

    assert self_audit.missing_events() == 1


@contextlib.contextmanager
def dropped_after_insert(condition):
    """Delete new events that meet a condition, after PostgreSQL reported them as inserted."""
    change(
        "CREATE OR REPLACE FUNCTION dropped() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF EXISTS (SELECT FROM audit_event WHERE event_id = NEW.event_id AND {condition}) THEN"
        " DELETE FROM audit_event WHERE event_id = NEW.event_id;"
        " DELETE FROM audit_pending WHERE event_id = NEW.event_id;"
        " END IF; RETURN NULL; END $$"
    )
    change(
        "CREATE TRIGGER dropped AFTER INSERT ON audit_pending FOR EACH ROW"
        " EXECUTE FUNCTION dropped()"
    )
    try:
        yield
    finally:
        change("DROP TRIGGER dropped ON audit_pending")


def test_event_dropped_by_late_trigger_is_detected(postgres_app):
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        record(ANN)
        with dropped_after_insert(f"sub = '{BOB}'"):
            record(BOB)
        assert checks() == set()
        record(ANN)

        assert checks() == {"writer"}


def test_writer_dropped_by_trigger_is_detected_by_self_audit(postgres_app):
    """The verifier cannot detect it, as the documentation says."""
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        record(ANN)
        audit_log.sequence_all()
        transaction_hooks.pool().forget()
        with dropped_after_insert("true"):
            record(ANN)

        assert checks(cross=True) == set()
        self_audit.run()
        assert self_audit.missing_events() == 2  # the start of the writer, and its event


def test_event_forged_without_mac_key_is_detected(log):
    row = stored()[-1]
    body = bytes(row["body"]).replace(b'"ok"', b'"no"')
    mac, event_hash = chain.link(b"x" * 32, bytes(row["event_hash"]), body)
    with transaction() as session:
        last = session.get(AuditEvent, UUID(str(row["event_id"])))
        session.add(
            AuditEvent(
                event_id=uuid4(), epoch=last.epoch, writer_id=last.writer_id,
                writer_seq=last.writer_seq + 50, prev_hash=last.event_hash, body=body, mac=mac,
                event_hash=event_hash, sub=last.sub, act=last.act, typ=last.typ, out="no",
                t=last.t + timedelta(seconds=1),
            )
        )  # fmt: skip

    assert "event" in checks()


def test_swapped_leaves_are_detected(log):
    change("UPDATE audit_leaf SET idx = 1000 WHERE idx = 3")
    change("UPDATE audit_leaf SET idx = 3 WHERE idx = 4")
    change("UPDATE audit_leaf SET idx = 4 WHERE idx = 1000")

    assert "leaf" in checks()


def test_reattributed_subject_is_detected(log):
    row = an_event()
    tag = merkle.subject_tag(str(UUID(int=9)))
    change("UPDATE audit_leaf SET subject_tag = :t WHERE idx = :i", t=tag, i=row["idx"])
    change("UPDATE audit_event SET sub = 'x' WHERE event_id = :e", e=row["event_id"])

    assert {"leaf", "column", "subject"} <= checks()


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_subject SET last_seq = last_seq + 1 WHERE subject_tag = :tag",
        "UPDATE audit_subject SET last_seq = 0, last_leaf_hash ="
        " (SELECT leaf_hash FROM audit_leaf WHERE subject_tag = :tag AND subject_seq = 0)"
        " WHERE subject_tag = :tag",
        "UPDATE audit_subject SET last_leaf_hash ="
        " (SELECT leaf_hash FROM audit_leaf WHERE idx = 0) WHERE subject_tag = :tag",
        "DELETE FROM audit_subject WHERE subject_tag = :tag",
        "INSERT INTO audit_subject (subject_tag, last_seq, last_leaf_hash)"
        " SELECT event_hash, 0, event_hash FROM audit_event WHERE typ = 'writer.start'",
    ],
    ids=["ahead", "behind", "other-leaf", "gone", "added"],
)
def test_changed_end_of_subject_chain_is_detected(log, statement):
    assert checks() == set()

    changed = change(
        statement, **({"tag": merkle.subject_tag(str(ANN))} if ":tag" in statement else {})
    )

    assert changed == 1
    assert checks() == {"subject"}


def test_deleted_leaf_with_renumbering_is_detected(log):
    row = an_event()
    change("DELETE FROM audit_leaf WHERE idx = :i", i=row["idx"])
    for at in range(row["idx"] + 1, len(stored()) + 2):
        change("UPDATE audit_leaf SET idx = :n WHERE idx = :i", n=at - 1, i=at)

    assert {"leaf", "event"} <= checks()


def test_restored_backup_is_detected_by_anchor_and_signer(log):
    size = len(stored())
    record(ANN)
    audit_log.sequence_all()
    known = anchor()
    change(
        "DELETE FROM audit_event WHERE event_id IN"
        " (SELECT event_id FROM audit_leaf WHERE idx >= :s)",
        s=size,
    )
    change("DELETE FROM audit_leaf WHERE idx >= :s", s=size)
    change("DELETE FROM audit_node")
    change("DELETE FROM audit_checkpoint WHERE size > :s", s=size)
    rebuild_tree(sign=False)

    sequencer.sequence()

    assert sequencer.current().halted == "database-restored"
    assert checks(known) == {"truncated"}


def test_reopen_starts_new_tree_and_records_the_reason(log):
    size = len(stored())
    record(ANN)
    audit_log.sequence_all()
    note = state_file.read()
    change(
        "DELETE FROM audit_event WHERE event_id IN"
        " (SELECT event_id FROM audit_leaf WHERE idx >= :s)",
        s=size,
    )
    change("DELETE FROM audit_leaf WHERE idx >= :s", s=size)
    change("DELETE FROM audit_checkpoint WHERE size > :s", s=size)
    rebuild_tree(sign=False)

    transaction_hooks.pool().forget()  # servers restart after a restore
    opened = sequencer.reopen("backup of Tuesday", by="ann")
    audit_log.sequence_all()

    assert opened.epoch == 2
    with reading() as session:
        event = session.scalar(
            sa.select(AuditEvent).where(AuditEvent.act == "ann", AuditEvent.typ == "log.epoch.open")
        )
    body = json.loads(event.body)
    assert body["obj"]["reason"] == "backup of Tuesday"
    assert body["obj"]["signer"] == note
    assert checks() == set()


def test_reopen_of_a_consistent_log_is_rejected(log):
    with pytest.raises(NothingToReopen):
        sequencer.reopen("why not", by="ann")
