"""The sequencer: events become leaves in order, and a signed checkpoint covers them."""

import time
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import audit_log, sql_recorder
from vaultr import clock
from vaultr.audit import checkpoints, sequencer, service, signing, state_file, tree
from vaultr.audit.events import Event
from vaultr.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditPending
from vaultr.database.session import db, reading, transaction
from vaultr.protocol import merkle

ANN = uuid4()


def record(count=1, account=ANN):
    with transaction():
        return [service.record(Event.ITEM_WRITE, account_id=account) for _ in range(count)]


def sequence_all():
    """Run the job until a checkpoint covers everything."""
    audit_log.sequence_all()


def leaves():
    with reading() as session:
        order = (AuditLeaf.epoch, AuditLeaf.idx)
        return list(session.scalars(sa.select(AuditLeaf).order_by(*order)))


def newest():
    with reading() as session:
        return checkpoints.newest(session)


def test_recorded_events_become_leaves_under_a_signed_checkpoint(here):
    recorded = record(3)

    sequence_all()

    found = leaves()
    checkpoint = newest().checkpoint
    with reading() as session:
        root = tree.root(session, 1, len(found))
        types = dict(session.execute(sa.select(AuditEvent.event_id, AuditEvent.typ)).all())
    assert types[found[0].event_id] == Event.LOG_EPOCH_OPEN
    assert {leaf.event_id for leaf in found} >= set(recorded)
    assert (checkpoint.epoch, checkpoint.size, checkpoint.root) == (1, len(found), root)
    assert signing.opened(newest().note, [signing.keys().current.public], "localhost/audit")
    assert state_file.read() == newest().note


def test_leaves_commit_to_their_events_and_subjects(here):
    record(2)
    record(2, account=uuid4())
    sequence_all()

    last, seqs = {}, {}
    with reading() as session:
        events = {one.event_id: one for one in session.scalars(sa.select(AuditEvent))}
    for leaf in leaves():
        event = events[leaf.event_id]
        tag = merkle.subject_tag(event.sub)
        seq, prev = seqs.get(tag, 0), last.get(tag, merkle.NO_LEAF)
        data = merkle.leaf_bytes(leaf.idx, event.event_hash, tag, seq, prev)
        assert (leaf.subject_seq, leaf.subject_prev) == (seq, prev)
        assert leaf.leaf_hash == merkle.leaf_hash(data)
        last[tag], seqs[tag] = leaf.leaf_hash, seq + 1


def idle(app):
    """Run the job until it is idle, and return the statements of one more run."""
    sequencer.current().active_until = 0.0
    sequencer.sequence_if_due()
    with sql_recorder.collected(app) as ran:
        assert sequencer.sequence_if_due() is False
    return ran


@pytest.mark.both_databases
def test_idle_job_runs_one_statement(here):
    record()
    sequence_all()

    ran = idle(here)

    assert len(ran) == 1
    assert "audit_pending" in ran[0]


def test_new_event_is_sequenced_at_next_idle_run(here):
    record()
    sequence_all()
    idle(here)

    [event_id] = record()
    sequencer.sequence_if_due()

    assert event_id in {leaf.event_id for leaf in leaves()}
    assert sequencer.current().active_until > time.monotonic()


def test_idle_job_runs_full_check_when_due(here):
    record()
    sequence_all()
    idle(here)

    sequencer.current().check_at = 0.0
    with sql_recorder.collected(here) as ran:
        sequencer.sequence_if_due()

    assert any("audit_checkpoint" in one for one in ran)


def test_no_checkpoint_without_new_events(here):
    record()
    sequence_all()
    before = newest()

    with time_machine.travel(clock.now() + timedelta(seconds=5)):
        assert sequencer.sequence() is False

    assert newest() == before


def test_checkpoints_are_at_least_a_second_apart(here):
    with time_machine.travel("2026-11-24T12:00:00Z", tick=False) as traveller:
        record()
        sequencer.sequence()
        record()
        sequencer.sequence()
        assert newest().checkpoint.size == 1
        traveller.shift(1)
        sequencer.sequence()

    assert newest().checkpoint.size == 4


def test_new_month_starts_tree_that_names_the_last(here):
    with time_machine.travel("2026-11-30T23:59:00Z"):
        record()
        sequence_all()
        final = newest()
    with time_machine.travel("2026-12-01T00:01:00Z"):
        record()
        sequence_all()

    found = leaves()
    opening = next(leaf for leaf in found if leaf.epoch == 2 and leaf.idx == 0)
    with reading() as session:
        event = session.get(AuditEvent, opening.event_id)
    body = audit_log.body(event)
    assert newest().checkpoint.epoch == 2
    assert body["obj"]["previous"] == final.note
    tags = [leaf for leaf in found if leaf.subject_tag == merkle.subject_tag(str(ANN))]
    assert [leaf.subject_seq for leaf in tags] == [0, 1]


def test_full_tree_begins_a_new_one(here, monkeypatch):
    monkeypatch.setattr(sequencer, "MOST_LEAVES", 5)
    record(12)

    sequence_all()

    sizes = {}
    for leaf in leaves():
        sizes[leaf.epoch] = max(sizes.get(leaf.epoch, 0), leaf.idx + 1)
    assert sizes[1] == 5
    assert len(sizes) == 4


def test_first_run_takes_a_backlog_in_batches(here, monkeypatch):
    monkeypatch.setattr(sequencer, "BATCH", 10)
    monkeypatch.setattr(sequencer, "SQLITE_BATCH", 10)
    record(35)

    sequence_all()

    with reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(AuditPending)) == 0
    assert newest().checkpoint.size == len(leaves()) == 35 + 2


def test_lag_limits_apply_after_the_backlog_was_empty(here):
    from vaultr.audit import sequencer_lag  # noqa: PLC0415 - beside its only use

    record()
    assert sequencer_lag.seconds() is None
    sequence_all()
    assert sequencer_lag.seconds() == 0.0
    record()
    with time_machine.travel(clock.now() + timedelta(seconds=30)):
        assert 29 < sequencer_lag.seconds() < 32


def gaps():
    with reading() as session:
        found = session.scalars(sa.select(AuditEvent).where(AuditEvent.typ == Event.LOG_GAP))
        return [audit_log.body(event)["obj"]["reason"] for event in found]


def change(statement, **values):
    with db.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def test_event_with_wrong_mac_is_sequenced_and_reported(here):
    [event_id] = record()
    change("UPDATE audit_event SET body = :b WHERE typ = 'item.write'", b=b'{"k":"test","sub":"x"}')

    sequence_all()

    assert gaps() == ["mac-invalid"]
    assert event_id in {leaf.event_id for leaf in leaves()}


def test_missing_predecessor_is_a_gap_after_a_minute(here):
    first, _ = record(2)
    change("DELETE FROM audit_event WHERE writer_seq = 1")
    change("DELETE FROM audit_pending WHERE event_id NOT IN (SELECT event_id FROM audit_event)")

    for _ in range(3):
        sequencer.sequence()
    assert gaps() == []
    with time_machine.travel(clock.now() + timedelta(seconds=61)):
        sequence_all()

    assert gaps() == ["predecessor-missing"]
    assert first not in {leaf.event_id for leaf in leaves()}


def test_pending_event_that_was_deleted_is_a_gap(here):
    record()
    change("DELETE FROM audit_event WHERE typ = 'item.write'")

    sequence_all()

    assert set(gaps()) == {"event-missing", "predecessor-missing"}


def test_database_older_than_the_signer_signs_nothing(here):
    record()
    sequence_all()
    note = state_file.read()
    record(3)
    sequence_all()
    stored = newest()
    change("DELETE FROM audit_leaf WHERE idx >= 3")
    change("DELETE FROM audit_node")
    change("DELETE FROM audit_checkpoint WHERE size > 3")

    assert sequencer.sequence() is False
    assert sequencer.current().halted is not None
    assert state_file.read() == stored.note != note


def test_rewritten_node_below_the_signed_size_signs_nothing(here):
    record(3)
    sequence_all()
    change("UPDATE audit_node SET hash = :h WHERE level = 2", h=b"x" * 32)
    record()

    with time_machine.travel(clock.now() + timedelta(seconds=2)):
        sequencer.sequence()

    assert sequencer.current().halted == "database-forked"


def test_missing_state_with_checkpoints_signs_nothing(here):
    record()
    sequence_all()
    state_file.path().unlink()
    sequencer.forget()
    record()

    sequencer.sequence()

    assert sequencer.current().halted == "state-missing"


def test_first_checkpoint_without_state_is_published_after_restart(here, monkeypatch):
    record()
    with monkeypatch.context() as patched:
        patched.setattr(state_file, "write", lambda _note: (_ for _ in ()).throw(OSError()))
        sequencer.sequence()
    assert newest() is None
    sequencer.forget()

    sequence_all()

    assert newest().checkpoint.size == 3


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[:-40], lambda text: text.replace("localhost", "else.where"), lambda _: ""],
)
def test_truncated_or_foreign_state_signs_nothing(here, damage):
    record()
    sequence_all()
    state_file.path().write_text(damage(state_file.read()))
    sequencer.forget()

    sequencer.sequence()

    assert sequencer.current().halted == "state-invalid"


def test_commit_without_state_is_published_after_a_restart(here, monkeypatch):
    record()
    sequence_all()
    record()
    with monkeypatch.context() as patched:
        patched.setattr(state_file, "write", lambda _note: (_ for _ in ()).throw(OSError()))
        with time_machine.travel(clock.now() + timedelta(seconds=2)):
            sequencer.sequence()
    assert newest().checkpoint.size == 3
    sequencer.forget()

    sequence_all()

    assert newest().checkpoint.size == 4
    assert state_file.read() == newest().note


def test_old_checkpoints_are_reduced_to_one_an_hour(here):
    from vaultr.audit import thinning  # noqa: PLC0415 - beside its only use

    with time_machine.travel("2026-11-10T12:00:00Z", tick=False) as traveller:
        for _ in range(6):
            record()
            sequencer.sequence()
            sequencer.sequence()
            traveller.shift(1200)
    with time_machine.travel("2026-11-24T12:00:00Z"):
        thinning.thin()
        with reading() as session:
            left = list(session.scalars(sa.select(AuditCheckpoint.created_at)))

    assert sorted({moment.hour for moment in left}) == [12, 13]
    assert len(left) == 2
