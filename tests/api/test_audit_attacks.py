"""An operator with all rights to the database and AUDIT_KEY, but not CHECKPOINT_KEY."""

import json
from datetime import timedelta

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import app_fixtures, audit_log
from tests.harness.audit_tampering import (
    ANN,
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
from vaultr.audit import retention, sequencer, signing, state_file, transaction_hooks, tree
from vaultr.audit.models import AuditCheckpoint, AuditEvent, AuditHold, AuditKeyChange, AuditPrune
from vaultr.audit.signing import SigningKey, SigningKeys
from vaultr.audit.verification import run
from vaultr.database.session import transaction
from vaultr.protocol.notes import Checkpoint
from vaultr.settings.types import Keys

EVIL, OTHER = b"e" * 32, b"f" * 32


@pytest.fixture
def log(here):
    for _ in range(5):
        record(ANN)
    audit_log.sequence_all()
    return here


@pytest.fixture
def trees(here):
    """Three trees, one for each month."""
    for month in ("2026-01", "2026-02", "2026-03"):
        with time_machine.travel(f"{month}-10T12:00:00Z"):
            record()
            audit_log.sequence_all()
    return here


def cut_to(size):
    """Restore the log with fewer leaves."""
    gone = "SELECT event_id FROM audit_leaf WHERE idx >= :s"
    change(f"DELETE FROM audit_event WHERE event_id IN ({gone})", s=size)
    change("DELETE FROM audit_leaf WHERE idx >= :s", s=size)
    change("DELETE FROM audit_checkpoint WHERE size > :s", s=size)
    change("DELETE FROM audit_node")
    rebuild_tree(sign=False)


def warnings(*anchors, **more):
    return {one.check for one in verify(*anchors, **more).listed if one.kind == "warning"}


def evil_keys():
    own = signing.keys().current
    made = [SigningKey.of(own.public.name, seed) for seed in (EVIL, OTHER)]
    return own, *made


def publish(*keys):
    value = json.dumps([[1, str(key.public)] for key in keys]).encode()
    change("UPDATE facts SET value = :v WHERE name = 'audit/verification-keys'", v=value)


def sign_newest_as(key):
    """Replace all checkpoints by one that another key signed."""
    with transaction() as session:
        size = tree.size(session, 1)
        checkpoint = Checkpoint("localhost/audit", 1, size, tree.root(session, 1, size))
        session.execute(sa.delete(AuditCheckpoint))
        note = SigningKeys((key,)).checkpoint(checkpoint)
        new = {"created_at": clock.now(), "anchored_to": "[]"}
        session.add(AuditCheckpoint(epoch=1, size=size, note=note, **new))


@pytest.mark.both_databases
def test_keys_known_only_from_database_are_not_trusted(log):
    _, evil, other = evil_keys()
    row = an_event()
    edit(row, with_key=True)
    rebuild_chain(row)
    rebuild_tree()
    sign_newest_as(evil)
    publish(evil, other)
    final = Checkpoint("localhost/audit", 1, 1, b"r" * 32)
    note = SigningKeys((other,)).key_change(evil, final)
    with transaction() as session:
        session.add(AuditKeyChange(epoch=9, note=note, created_at=clock.now(), anchored_to="[]"))

    assert checks() >= {"checkpoint", "key-change"}


def test_key_change_note_signed_by_untrusted_key_is_detected(log):
    own, evil, _ = evil_keys()
    forged = SigningKeys((evil,)).key_change(evil, Checkpoint("localhost/audit", 1, 1, b"r" * 32))
    with transaction() as session:
        session.add(AuditKeyChange(epoch=9, note=forged, created_at=clock.now(), anchored_to="[]"))

    assert own.public != evil.public
    assert checks() == {"key-change"}


def test_verify_without_checkpoint_key_warns_about_key(log, set_to):
    set_to(log, checkpoint_key=None)

    assert verify().exit_code == 0
    assert warnings() == {"key"}


def test_lost_key_is_a_warning_and_its_tree_is_verified(log, set_to):
    set_to(log, checkpoint_key=Keys({"new": EVIL}))
    sequencer.forget()
    record()
    audit_log.sequence_all()

    assert verify().exit_code == 0
    assert warnings() == {"key"}
    change("UPDATE audit_leaf SET leaf_hash = :h WHERE epoch = 1 AND idx = 3", h=b"x" * 32)
    assert "leaf" in checks()


@pytest.mark.both_databases
def test_leaves_without_covering_checkpoint_are_reported(log):
    """Otherwise the end of a tree could be rewritten unnoticed if its checkpoints are deleted."""
    change("DELETE FROM audit_checkpoint WHERE size > 1")

    with time_machine.travel(clock.now() + timedelta(minutes=5)):
        assert verify().exit_code == 3
    change("DELETE FROM audit_checkpoint")
    assert checks() == {"checkpoint"}


def test_deleted_last_checkpoint_of_a_tree_is_detected(trees):
    last = "SELECT max(size) FROM audit_checkpoint WHERE epoch = 2"
    change(f"DELETE FROM audit_checkpoint WHERE epoch = 2 AND size = ({last})")

    assert "link" in checks()


def test_deleted_tree_is_detected(trees):
    events = "(SELECT event_id FROM audit_leaf WHERE epoch = 2)"
    change(f"DELETE FROM audit_event WHERE event_id IN {events}")
    for table in ("leaf", "node", "checkpoint"):
        change(f"DELETE FROM audit_{table} WHERE epoch = 2")

    assert "link" in checks()


def test_truncation_since_last_verification_is_detected(log):
    _, state = run.verify(run.Options())
    size = len(stored()) - 2
    cut_to(size)

    assert "since" in checks(since=state)


def test_tree_deleted_since_last_verification_is_detected(trees):
    _, state = run.verify(run.Options())
    for table in ("leaf", "node", "checkpoint"):
        change(f"DELETE FROM audit_{table} WHERE epoch = 3")

    assert "since" in checks(since=state)


def pruned(app, set_to):
    set_to(app, audit_retention_months=1)
    with time_machine.travel("2026-03-20T12:00:00Z"):
        assert retention.prune(by="ann") == [1]
        audit_log.sequence_all()


@pytest.mark.parametrize(
    "values",
    [
        "last_event_at = '2099-01-01 00:00:00+00'",
        "event_id = (SELECT event_id FROM audit_event WHERE typ = 'item.write' LIMIT 1)",
        "checkpoint = (SELECT note FROM audit_checkpoint WHERE epoch = 2 LIMIT 1)",
    ],
)
def test_prune_row_that_differs_from_its_event_is_detected(trees, set_to, values):
    pruned(trees, set_to)
    with time_machine.travel("2026-03-20T12:05:00Z"):
        assert checks() == set()
        change(f"UPDATE audit_prune SET {values}")

        assert "prune" in checks()


def test_event_of_one_prune_does_not_cover_another(trees, set_to):
    pruned(trees, set_to)
    with transaction() as session:
        row = session.scalar(sa.select(AuditPrune))
        final = session.scalar(
            sa.select(AuditCheckpoint.note)
            .where(AuditCheckpoint.epoch == 2)
            .order_by(AuditCheckpoint.size.desc())
            .limit(1)
        )
        session.add(
            AuditPrune(
                epoch=2, first_idx=0, last_idx=9, last_event_at=row.last_event_at,
                checkpoint=final, policy=row.policy, operator="ann", event_id=row.event_id,
            )
        )  # fmt: skip
    events = "(SELECT event_id FROM audit_leaf WHERE epoch = 2)"
    change(f"DELETE FROM audit_event WHERE event_id IN {events}")
    for table in ("leaf", "node", "checkpoint"):
        change(f"DELETE FROM audit_{table} WHERE epoch = 2")

    with time_machine.travel("2026-03-20T12:05:00Z"):
        assert "prune" in checks()


def test_deleted_hold_and_prune_during_hold_are_detected(trees, set_to):
    with time_machine.travel("2026-03-20T12:00:00Z"):
        retention.hold("case-17", reason="court order", by="ann")
        audit_log.sequence_all()
        assert checks() == set()
        change("DELETE FROM audit_hold")
        assert checks() == {"hold"}
    pruned(trees, set_to)
    with transaction() as session, time_machine.travel("2026-03-20T12:05:00Z"):
        session.add(
            AuditHold(
                name="case-17", reason="", operator="ann", created_at=clock.now(),
                event_id=session.scalar(sa.select(AuditEvent.event_id).limit(1)),
            )
        )  # fmt: skip

    assert checks() == {"hold"}


def test_gap_recorded_by_sequencer_is_reported(log):
    record()
    change("DELETE FROM audit_event WHERE event_id NOT IN (SELECT event_id FROM audit_leaf)")
    audit_log.sequence_all()

    assert "gap" in checks()


def test_forged_detail_without_salt_is_detected(log):
    change("UPDATE audit_event SET detail = :d WHERE typ = 'item.write'", d=b"{}")

    assert checks() == {"detail"}


def test_changed_column_of_pending_event_is_detected(log):
    event_id = record()
    change("UPDATE audit_event SET sub = 'x' WHERE event_id = :e", e=as_stored(event_id))

    assert checks() == {"pending"}


def test_clock_set_back_is_a_warning(log):
    with time_machine.travel(clock.now() - timedelta(hours=1)):
        record()
        transaction_hooks.pool().forget()
        record()
        audit_log.sequence_all()

    found = verify()
    assert found.exit_code == 0, found.listed
    assert warnings() == {"clock"}


def hostile_trigger(does):
    change(
        "CREATE OR REPLACE FUNCTION hostile() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN {does} END $$"
    )
    change(
        "CREATE TRIGGER hostile BEFORE INSERT ON audit_checkpoint FOR EACH ROW"
        " EXECUTE FUNCTION hostile()"
    )


@pytest.mark.parametrize(
    "does", ["NEW.anchored_to := '[]'; RETURN NEW;", "RETURN NULL;"], ids=["published", "dropped"]
)
def test_signer_state_file_survives_hostile_triggers(postgres_app, does):
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        record()
        audit_log.sequence_all()
        hostile_trigger(does)
        record()
        with time_machine.travel(clock.now() + timedelta(seconds=2)):
            sequencer.sequence()
        change("DROP TRIGGER hostile ON audit_checkpoint")

        assert Checkpoint.of_note(state_file.read()).size == len(stored())


def test_signer_state_is_not_replaced_by_older_checkpoint(log):
    known = anchor()
    change("DELETE FROM audit_checkpoint WHERE size > 1")
    change("UPDATE audit_checkpoint SET anchored_to = NULL")

    sequencer.sequence()

    assert state_file.read() == known


def test_sequenced_event_marked_pending_again_does_not_block_sequencing(log):
    row = an_event()
    change("INSERT INTO audit_pending (event_id) VALUES (:e)", e=row["event_id"])
    record()
    audit_log.sequence_all()

    assert checks() == {"gap"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"k":"test","sub":"\\ud800"}',
        b"[" * 100_000,
        pytest.param(b"\xff\xfe", marks=pytest.mark.long),
        pytest.param(b"[1]", marks=pytest.mark.long),
        pytest.param(b'{"sub":7}', marks=pytest.mark.long),
    ],
    ids=["surrogate", "deep", "not-utf8", "list", "number"],
)
def test_malformed_event_body_is_sequenced_and_detected(log, body):
    event_id = record()
    change("UPDATE audit_event SET body = :b WHERE event_id = :e", b=body, e=as_stored(event_id))
    audit_log.sequence_all()

    assert checks() & {"body", "mac", "gap"}


@pytest.mark.parametrize(
    "moment",
    [
        "infinity",
        *(pytest.param(one, marks=pytest.mark.long) for one in ("294000-01-01", "0044-03-15 BC")),
    ],
)
def test_event_with_impossible_time_does_not_block_sequencing(postgres_app, moment):
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        event_id = record()
        change(
            "UPDATE audit_event SET t = CAST(:t AS timestamptz) WHERE event_id = :e",
            t=moment, e=as_stored(event_id),
        )  # fmt: skip
        transaction_hooks.pool().forget()
        record()
        audit_log.sequence_all()

        assert {"event", "gap"} <= checks()


def test_signer_options_detect_truncated_log(log):
    known = state_file.read()
    size = len(stored()) - 2
    cut_to(size)

    done = log.test_cli_runner().invoke(args=["audit", "verify", "--signer", "--json"])

    assert known == state_file.read()
    assert done.exit_code == 1
    assert "truncated" in {one["check"] for one in json.loads(done.stdout)["findings"]}


def test_truncation_explained_by_reopen_is_a_warning(log):
    size = len(stored())
    record()
    audit_log.sequence_all()
    known = anchor()
    cut_to(size)
    assert "truncated" in checks(known)
    transaction_hooks.pool().forget()
    sequencer.reopen("backup of Tuesday", by="ann")
    audit_log.sequence_all()

    assert checks(known) == set()
    assert warnings(known) == {"restore"}
