"""`flask audit`: status, verify, export, prune, redact, hold."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import audit_log
from vaultr import clock
from vaultr.audit import checkpoints, retention, service, signing
from vaultr.audit.errors import Held, HoldExists, NoRetention, NothingToRedact, UnsequencedEvents
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditLeaf
from vaultr.audit.verification import run
from vaultr.database.session import db, reading, transaction
from vaultr.security import keyring
from vaultr.settings.types import Keys

START = "2026-01-10T12:00:00Z"


def record(account_id=None):
    with transaction():
        return service.record(Event.ITEM_WRITE, account_id=account_id or uuid4())


def flask(app, *words):
    return app.test_cli_runner().invoke(args=["audit", *words])


def findings(**more):
    found, state = run.verify(run.Options(keys=keyring.current().audit.keys.by_id, **more))
    return found, state


def two_months_of_events():
    for moment in (START, "2026-02-10T12:00:00Z", "2026-03-10T12:00:00Z"):
        with time_machine.travel(moment):
            record()
            record()
            audit_log.sequence_all()


def test_status_shows_tree_key_and_witness_configuration(here):
    record()
    audit_log.sequence_all()

    done = flask(here, "status", "--json")

    found = json.loads(done.stdout)
    assert (found["log"], found["epoch"], found["pending"]) == ("localhost/audit", 1, 0)
    assert found["witness"]["origin"] == "localhost/audit/1"
    assert found["witness"]["vkey"].startswith("localhost/audit+")
    assert len(found["keys"][0]["fingerprint"]) == 64


def test_verify_of_an_intact_log_exits_0(here):
    record()
    audit_log.sequence_all()

    done = flask(here, "verify", "--cross", "--json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["verified"] is True


def test_verify_of_edited_log_exits_1_naming_the_leaf(here):
    record()
    audit_log.sequence_all()
    with db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE audit_event SET sub = 'x' WHERE typ = 'item.write'"))

    done = flask(here, "verify", "--json")

    assert done.exit_code == 1
    assert json.loads(done.stdout)["first_bad"] == {"epoch": 1, "index": 2}


def test_verify_without_a_log_exits_2(here):
    assert flask(here, "verify").exit_code == 2


def test_verify_of_a_lagging_log_exits_3(here):
    record()
    audit_log.sequence_all()
    record()
    with time_machine.travel(clock.now() + timedelta(seconds=90)):
        done = flask(here, "verify", "--json")

    assert done.exit_code == 3


def test_verify_since_state_reads_only_new_events(here, tmp_path):
    path = str(tmp_path / "state")
    record()
    audit_log.sequence_all()
    first = json.loads(flask(here, "verify", "--since", path, "--json").stdout)
    record()
    audit_log.sequence_all()

    second = json.loads(flask(here, "verify", "--since", path, "--json").stdout)

    assert (first["events"], second["events"]) == (3, 1)
    assert second["verified"]


def test_verify_with_a_shortened_anchor_file_still_checks_the_rest(here, tmp_path):
    record()
    audit_log.sequence_all()
    with reading() as session:
        note = checkpoints.newest(session).note
    path = tmp_path / "anchors"
    path.write_text(json.dumps(note) + "\n")

    assert flask(here, "verify", "--anchors", str(path)).exit_code == 0
    path.write_text(json.dumps(note[:-30]) + "\n")
    assert flask(here, "verify", "--anchors", str(path)).exit_code == 1


def test_export_contains_every_event(here, tmp_path):
    record()
    audit_log.sequence_all()
    path = tmp_path / "log.jsonl"

    assert flask(here, "export", "--out", str(path)).exit_code == 0

    kinds = [json.loads(line).get("type") for line in path.read_text().splitlines()]
    assert kinds.count("leaf") == 3
    assert "checkpoint" in kinds


@pytest.fixture
def exported(here, tmp_path, set_to):
    """An exported log of three trees, the oldest one pruned."""
    two_months_of_events()
    set_to(here, audit_retention_months=1)
    with time_machine.travel("2026-03-20T12:00:00Z"):
        assert retention.prune(by="ann") == [1]
        audit_log.sequence_all()
    path = tmp_path / "log.jsonl"
    assert flask(here, "export", "--out", str(path)).exit_code == 0
    return path


@pytest.mark.both_databases
def test_exported_log_verifies_without_the_database(here, exported, tmp_path):
    with reading() as session:
        note = checkpoints.newest(session).note
    anchors = tmp_path / "anchors"
    anchors.write_text(json.dumps(note) + "\n")

    done = flask(here, "verify", "--bundle", str(exported), "--anchors", str(anchors), "--json")

    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    older = [line for line in exported.read_text().splitlines() if '"epoch":3' not in line]
    exported.write_text("".join(f"{line}\n" for line in older))
    cut = flask(here, "verify", "--bundle", str(exported), "--anchors", str(anchors))
    assert (done.exit_code, answer["findings"]) == (0, [])
    assert (cut.exit_code, "an anchor knows more" in cut.output) == (1, True)
    assert (answer["trees"], answer["events"] > 6) == (2, True)


@pytest.mark.parametrize("root", [b"\0" * 32, b"\xff" * 32])
def test_contradicting_anchor_next_to_valid_one_is_detected(here, exported, tmp_path, root):
    with reading() as session:
        newest = checkpoints.newest(session)
    forged = signing.keys().checkpoint(replace(newest.checkpoint, root=root))
    anchors = tmp_path / "anchors"
    anchors.write_text(f"{json.dumps(newest.note)}\n{json.dumps(forged)}\n")

    done = flask(here, "verify", "--bundle", str(exported), "--anchors", str(anchors))

    assert (done.exit_code, "the root differs from an anchor" in done.output) == (1, True)


def changed(lines):
    leaves = [at for at, line in enumerate(lines) if '"type":"leaf"' in line]
    at = leaves[2]
    swapped = [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]
    return {
        "left out": [*lines[:at], *lines[at + 1 :]],
        "repeated": [*lines[: at + 1], *lines[at:]],
        "swapped": swapped,
        "edited": [
            *lines[:at],
            lines[at].replace('"ok', '"no').replace("ok", "no"),
            *lines[at + 1 :],
        ],
        "cut": lines[:-1],
        "half a line": [*lines[:at], lines[at][:50]],
        "other log": [lines[0].replace("localhost", "elsewhere"), *lines[1:]],
        "no keys": [json.dumps({**json.loads(lines[0]), "keys": [1]}), *lines[1:]],
        "empty": [],
    }


def test_changed_export_is_detected(here, exported, tmp_path):
    lines = exported.read_text().splitlines()
    for name, altered in changed(lines).items():
        path = tmp_path / "altered.jsonl"
        path.write_text("".join(f"{line}\n" for line in altered))

        done = flask(here, "verify", "--bundle", str(path), "--json")

        assert (name, json.loads(done.stdout)["exit_code"]) == (name, 1)


def test_export_is_rejected_by_keys_of_another_log(here, exported, set_to):
    set_to(here, checkpoint_key=Keys({"other": bytes(range(32))}))

    done = flask(here, "verify", "--bundle", str(exported), "--json")

    found = json.loads(done.stdout)
    assert found["exit_code"] == 1
    assert not found["verified"]


def test_pruning_deletes_whole_old_trees_and_the_log_verifies(here, set_to):
    two_months_of_events()
    set_to(here, audit_retention_months=1)
    with time_machine.travel("2026-03-20T12:00:00Z"):
        assert retention.prune(by="ann") == [1]
        audit_log.sequence_all()

        found, _ = findings()

    with reading() as session:
        assert session.scalar(sa.select(sa.func.min(AuditLeaf.epoch))) == 2
        pruned = session.scalar(sa.select(AuditEvent).where(AuditEvent.typ == "log.prune"))
    assert audit_log.body(pruned)["act"] == "ann"
    assert found.exit_code == 0, found.listed


def test_proofs_into_pruned_tree_return_410_with_checkpoint(app, as_ann, set_to):
    set_to(app, audit_retention_months=1)
    later = clock.now() + timedelta(days=40)
    with app.app_context():
        event_id = record(as_ann.account_id)
        audit_log.sequence_all()
        with time_machine.travel(later):
            record()
            audit_log.sequence_all()
        with time_machine.travel(later + timedelta(days=40)):
            assert retention.prune(by="ann") == [1]

    response = as_ann.get(f"/api/v1/audit/events/{event_id}/proof")
    final = as_ann.get("/api/v1/audit/checkpoint?epoch=1")

    assert response.status_code == 410
    assert response.json["checkpoint"] == final.json["checkpoint"]
    assert final.json["epoch"] == 1
    gone = as_ann.get("/api/v1/audit/consistency?epoch=1&from=1&to=2")
    assert (gone.status_code, gone.json["type"]) == (410, "urn:vaultr:problem:epoch-pruned")
    assert gone.json["checkpoint"] == final.json["checkpoint"]


def test_prune_is_rejected_without_retention_or_during_hold(here, set_to):
    two_months_of_events()
    with pytest.raises(NoRetention):
        retention.prune(by="ann")
    set_to(here, audit_retention_months=1)
    retention.hold("case-17", reason="court order", by="ann")
    with pytest.raises(HoldExists):
        retention.hold("case-17", reason="again", by="ann")
    with pytest.raises(Held):
        retention.prune(by="ann")

    retention.lift("case-17", reason="settled", by="bob")

    with pytest.raises(UnsequencedEvents):
        retention.prune(by="ann")


def test_log_verifies_after_detail_is_redacted(app, as_ann, set_to):
    set_to(app, audit_detail="on")
    as_ann.post("/api/v1/auth/logout", headers={"User-Agent": "probe/1"})
    with app.app_context():
        with reading() as session:
            event = session.scalar(sa.select(AuditEvent).where(AuditEvent.detail.is_not(None)))
        audit_log.sequence_all()
        assert json.loads(event.detail) == {"address": "127.0.0.1", "agent": "probe/1"}
        assert findings()[0].exit_code == 0

        retention.redact(event.event_id, reason="erasure", by="ann")
        audit_log.sequence_all()

        assert findings()[0].exit_code == 0
        with pytest.raises(NothingToRedact):
            retention.redact(event.event_id, reason="again", by="ann")


def test_changed_detail_is_detected(app, as_ann, set_to):
    set_to(app, audit_detail="on")
    as_ann.post("/api/v1/auth/logout")
    with app.app_context():
        audit_log.sequence_all()
        with db.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE audit_event SET detail = :d WHERE detail IS NOT NULL"), {"d": b"{}"}
            )
        assert {one.check for one in findings()[0].listed} == {"detail"}


def test_log_verifies_after_account_deletion(app, as_ann, set_to):
    set_to(app, audit_detail="on")
    with app.app_context():
        record(as_ann.account_id)
        audit_log.sequence_all()

    assert as_ann.delete("/api/v1/auth/account").status_code == 204

    with app.app_context():
        audit_log.sequence_all()
        with reading() as session:
            about = sa.select(AuditEvent.typ).where(AuditEvent.sub == str(as_ann.account_id))
            types = set(session.scalars(about))
        found, _ = findings(cross=True)
    assert {"item.write", "account.delete"} <= types
    assert (found.exit_code, found.listed) == (0, [])


def test_documented_transcript_detects_every_attack():
    done = subprocess.run(
        [sys.executable, "docs/audit_transcript.py"], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Missed: none of 10.\n")
    assert headings(done.stdout) == headings(Path("docs/audit-transcript.md").read_text())


def headings(page):
    return [line for line in page.splitlines() if line.startswith("#")]
