"""What users can verify: proofs of their events, checkpoints, consistency, the export."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests.harness import audit_log
from tests.harness.audit_tampering import as_stored
from vaultr import clock
from vaultr.audit import checkpoints, proofs, routes, service, signing
from vaultr.audit.events import Event
from vaultr.database.session import db, transaction
from vaultr.protocol import merkle, notes
from vaultr.protocol.encoding import unb64
from vaultr.protocol.notes import Checkpoint, Proof, VerificationKey

BASE = "/api/v1/audit"


def record(app, account_id, count=1, *, sequenced=True):
    with app.app_context():
        for _ in range(count):
            with transaction():
                event_id = service.record(Event.ITEM_READ, account_id=account_id)
        if sequenced:
            audit_log.sequence_all()
        checkpoints.forget()
    return event_id


def opened(response):
    """Open the checkpoint of a response with the key in it."""
    keys = [VerificationKey.parse(one) for one in response.json["keys"]]
    return notes.open_checkpoint(response.json["checkpoint"], keys, signing.verify)


def test_anonymous_request_gets_no_audit_proofs(client):
    for path in (
        f"events/{uuid4()}/proof",
        "checkpoint",
        "consistency?epoch=1&from=1&to=1",
        "export",
    ):
        assert client.get(f"{BASE}/{path}").status_code == 401


def test_inclusion_proof_verifies_event_against_signed_root(app, as_ann):
    event_id = record(app, as_ann.account_id, 3)

    response = as_ann.get(f"{BASE}/events/{event_id}/proof")

    event, proof = response.json["event"], Proof.parse(response.json["proof"])
    body = event["body"].encode()
    event_hash = merkle.event_hash(unb64(event["prev"]), body, unb64(event["mac"]))
    tag = merkle.subject_tag(json.loads(body)["sub"])
    leaf = merkle.leaf_bytes(
        event["index"], event_hash, tag, event["subject_seq"], unb64(event["subject_prev"])
    )
    shown = opened(as_ann.get(f"{BASE}/checkpoint"))
    assert unb64(response.json["leaf"]) == leaf
    assert Checkpoint.parse(proof.checkpoint.text) == shown
    merkle.check_inclusion(proof.index, shown.size, merkle.leaf_hash(leaf), proof.path, shown.root)


def test_proof_of_event_without_checkpoint_returns_not_sequenced_yet(app, as_ann):
    event_id = record(app, as_ann.account_id, sequenced=False)

    response = as_ann.get(f"{BASE}/events/{event_id}/proof")

    assert response.status_code == 409
    assert response.json["type"] == "urn:vaultr:problem:not-sequenced-yet"
    assert response.headers["Retry-After"] == "1"


def test_proof_of_foreign_or_unknown_event_returns_404(app, as_ann, as_bob):
    event_id = record(app, as_bob.account_id)

    for one in (event_id, uuid4(), UUID(int=7)):
        response = as_ann.get(f"{BASE}/events/{one}/proof")
        assert response.status_code == 404
        assert response.json["type"] == "urn:vaultr:problem:not-found"


def test_sequenced_events_are_listed_with_epoch_and_subject_position(app, as_ann):
    record(app, as_ann.account_id, 2)

    first, second = as_ann.get(f"{BASE}/events?action=item").json["events"]

    assert first["epoch"] == second["epoch"] == 1
    assert first["subject_seq"] == second["subject_seq"] + 1
    assert unb64(first["subject_prev"])


def test_checkpoint_request_before_first_checkpoint_returns_404(as_ann):
    assert as_ann.get(f"{BASE}/checkpoint").status_code == 404


def test_checkpoint_names_its_key_and_its_opening_event(app, as_ann):
    record(app, as_ann.account_id)

    response = as_ann.get(f"{BASE}/checkpoint?epoch=1")

    shown = opened(response)
    opening = json.loads(response.json["opening"]["event"]["body"])
    assert (shown.log, shown.epoch) == ("localhost/audit", 1)
    assert (response.json["size"], unb64(response.json["root"])) == (shown.size, shown.root)
    assert opening["typ"] == "log.epoch.open"
    assert response.json["key_changes"] == []


def test_consistency_proof_verifies_from_older_checkpoint(app, as_ann):
    record(app, as_ann.account_id, 3)
    old = opened(as_ann.get(f"{BASE}/checkpoint"))
    record(app, as_ann.account_id, 5)
    new = opened(as_ann.get(f"{BASE}/checkpoint"))

    response = as_ann.get(f"{BASE}/consistency?epoch=1&from={old.size}&to={new.size}")

    assert {name: response.json[name] for name in ("epoch", "from", "to")} == {
        "epoch": 1, "from": old.size, "to": new.size,
    }  # fmt: skip
    path = [unb64(one) for one in response.json["hashes"]]
    merkle.check_consistency(old.size, new.size, old.root, new.root, path)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("epoch=1&from=0&to=1", 422),
        ("epoch=1&from=2&to=1", 422),
        ("epoch=1&from=1&to=9999", 422),
        ("epoch=9&from=1&to=1", 404),
        ("epoch=0&from=1&to=1", 400),
        ("epoch=1&from=-1&to=1", 400),
        ("epoch=1&from=1", 400),
        ("from=1&to=1", 400),
        ("epoch=1&from=1&to=1&more=1", 400),
    ],
)
def test_invalid_consistency_query_is_rejected(app, as_ann, query, status):
    record(app, as_ann.account_id)

    assert as_ann.get(f"{BASE}/consistency?{query}").status_code == status


def test_proofs_for_removed_checkpoints_still_work(app, as_ann):
    record(app, as_ann.account_id, 3)
    old = opened(as_ann.get(f"{BASE}/checkpoint"))
    record(app, as_ann.account_id, 3)
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM audit_checkpoint WHERE size = :s"), {"s": old.size})
    new = opened(as_ann.get(f"{BASE}/checkpoint"))

    response = as_ann.get(f"{BASE}/consistency?epoch=1&from={old.size}&to={new.size}")

    path = [unb64(one) for one in response.json["hashes"]]
    merkle.check_consistency(old.size, new.size, old.root, new.root, path)


def test_newest_checkpoint_is_in_header_of_authenticated_responses(app, as_ann, client):
    assert "X-Vaultr-Checkpoint" not in as_ann.get(f"{BASE}/events").headers
    record(app, as_ann.account_id)

    header = as_ann.get(f"{BASE}/events").headers["X-Vaultr-Checkpoint"]

    shown = opened(as_ann.get(f"{BASE}/checkpoint"))
    assert header == f"{shown.epoch} {shown.size} {notes.encode(shown.root)}"
    assert "X-Vaultr-Checkpoint" not in client.get(f"{BASE}/events").headers


def test_unpublished_checkpoint_is_not_shown(app, as_ann):
    record(app, as_ann.account_id)
    before = as_ann.get(f"{BASE}/checkpoint").json
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("UPDATE audit_checkpoint SET anchored_to = NULL WHERE size > 1"))
        checkpoints.forget()

    response = as_ann.get(f"{BASE}/checkpoint")

    assert response.json["size"] == 1 < before["size"]
    assert as_ann.get(f"{BASE}/events").headers["X-Vaultr-Checkpoint"].startswith("1 1 ")


def lines(response):
    return [json.loads(line) for line in response.get_data(as_text=True).splitlines()]


def test_export_has_all_events_and_trees(app, as_ann, as_bob):
    record(app, as_ann.account_id, 3)
    record(app, as_bob.account_id, 2)
    with time_machine.travel(clock.now() + timedelta(days=40)), app.app_context():
        with transaction():
            service.record(Event.ITEM_READ, account_id=as_ann.account_id)
        audit_log.sequence_all()

    head, *rest = lines(as_ann.get(f"{BASE}/export"))

    trees = [one["epoch"] for one in rest if one["type"] == "tree"]
    seqs = [one["event"]["subject_seq"] for one in rest if one["type"] == "event"]
    assert head["format"] == "vaultr-audit/1"
    assert trees == [1, 2]
    assert seqs == list(range(len(seqs)))
    assert len(seqs) >= 4


def test_export_after_a_number_starts_with_next_event(app, as_ann):
    record(app, as_ann.account_id, 4)

    _, *rest = lines(as_ann.get(f"{BASE}/export?after=2"))

    assert next(one["event"]["subject_seq"] for one in rest if one["type"] == "event") == 3


def delete(app, rows):
    with app.app_context(), db.engine.begin() as connection:
        assert connection.execute(sa.text(f"DELETE FROM {rows}")).rowcount == 1
        checkpoints.forget()


def assert_damaged(response):
    assert response.status_code == 500
    assert response.json["type"] == "urn:vaultr:problem:audit-damaged"
    assert "lacks stored records" in response.json["detail"]


@pytest.mark.both_databases
@pytest.mark.parametrize(
    "rows", ["audit_leaf WHERE idx = 2", "audit_node WHERE level = 1 AND idx = 1"]
)
def test_export_from_damaged_tree_is_a_problem(app, as_ann, rows, caplog):
    record(app, as_ann.account_id, 6)
    delete(app, rows)

    response = as_ann.get(f"{BASE}/export")

    assert_damaged(response)
    [line] = [one.fields for one in caplog.records if one.msg == "audit.damaged"]
    assert line == {"epoch": 1, "node": "0/2" if "leaf" in rows else "1/1"}


def test_export_without_first_event_of_a_tree_is_a_problem(app, as_ann):
    record(app, as_ann.account_id, 2)
    delete(app, "audit_leaf WHERE idx = 0")

    assert_damaged(as_ann.get(f"{BASE}/export"))
    assert_damaged(as_ann.get(f"{BASE}/checkpoint"))


def test_proofs_from_damaged_tree_are_a_problem(app, as_ann):
    event_id = record(app, as_ann.account_id, 6)
    delete(app, "audit_leaf WHERE idx = 1")

    assert_damaged(as_ann.get(f"{BASE}/checkpoint"))
    assert_damaged(as_ann.get(f"{BASE}/consistency?epoch=1&from=1&to=5"))
    with app.app_context():
        stored = as_stored(event_id)
    delete(app, f"audit_leaf WHERE event_id = '{stored}'")
    assert_damaged(as_ann.get(f"{BASE}/events/{event_id}/proof"))


def test_damage_found_during_export_ends_it_with_problem(app, as_ann, monkeypatch):
    monkeypatch.setattr(routes, "_FIRST_LINES", 3)
    monkeypatch.setattr(proofs, "_BATCH", 4)
    record(app, as_ann.account_id, 17)
    delete(app, "audit_leaf WHERE idx = 17")

    response = as_ann.get(f"{BASE}/export")

    *whole, last = lines(response)
    assert response.status_code == 200
    assert sum(one.get("type") == "event" for one in whole) >= 4
    assert (last["type"], last["status"]) == ("urn:vaultr:problem:audit-damaged", 500)


def test_changes_are_rejected_when_the_log_is_far_behind(app, as_ann, set_to):
    record(app, as_ann.account_id)
    record(app, as_ann.account_id, sequenced=False)
    set_to(app, audit_lag_refuse=60)
    with time_machine.travel(clock.now() + timedelta(seconds=61)), app.app_context():
        checkpoints.forget()
        response = as_ann.post("/api/v1/auth/logout")
        read = as_ann.get(f"{BASE}/events")

    assert response.status_code == 503
    assert response.json["type"] == "urn:vaultr:problem:audit-unavailable"
    assert read.status_code == 200


def test_self_audit_counts_deleted_events(app, as_ann):
    from vaultr.audit import self_audit  # noqa: PLC0415 - beside its only use

    record(app, as_ann.account_id, sequenced=False)
    with app.app_context():
        self_audit.run()
        assert self_audit.missing_events() == 0
        with db.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM audit_pending"))
            connection.execute(sa.text("DELETE FROM audit_event"))
        self_audit.run()
        assert self_audit.missing_events() > 0
