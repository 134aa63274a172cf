"""Anchors, changes of the signing key, and the stream for a SIEM."""

import contextlib
import json
import socket

import pytest
import sqlalchemy as sa

from tests.harness import audit_anchors, audit_log, tls_sites
from vaultr.audit import (
    anchors,
    checkpoints,
    publishing,
    sequencer,
    service,
    signing,
    state_file,
)
from vaultr.audit.events import Event
from vaultr.audit.models import AuditCheckpoint
from vaultr.audit.verification import run
from vaultr.database.session import reading, transaction
from vaultr.protocol import notes
from vaultr.protocol.notes import COSIGNATURE, VerificationKey
from vaultr.settings.types import Keys

OLD, NEW = b"o1d-key-of-a-test-log-0123456789", b"new-key-of-a-test-log-0123456789"


@pytest.fixture
def here(app, set_to):
    with app.app_context():
        yield app
        none = app.config["SETTINGS"].model_copy(update={"audit_anchors": ()})
        anchors.init_app(app, none)


def record():
    with transaction():
        service.record(Event.ITEM_WRITE, account_id=None)


def anchored(app, set_to, *urls, **more):
    set_to(app, audit_anchors=urls, **more)
    anchors.init_app(app, app.config["SETTINGS"])


def newest():
    with reading() as session:
        return checkpoints.newest(session)


def test_anchor_file_gets_newest_checkpoint_and_verifies(here, set_to, tmp_path):
    path = tmp_path / "checkpoints"
    anchored(here, set_to, path.as_uri())
    for _ in range(3):
        record()
        audit_log.sequence_all()
        sequencer.sequence()

    lines = [json.loads(line) for line in path.read_text().splitlines()]

    assert lines[-1] == newest().note
    found, _ = run.verify(run.Options(anchors=lines))
    assert found.exit_code == 0, found.listed


def test_newest_anchor_replaces_a_missing_state_file(here, set_to, tmp_path):
    anchored(here, set_to, (tmp_path / "checkpoints").as_uri())
    record()
    audit_log.sequence_all()
    sequencer.sequence()
    state_file.path().unlink()
    sequencer.forget()
    record()

    audit_log.sequence_all()

    assert sequencer.current().halted is None


def test_signer_waits_for_an_anchor_that_cannot_be_read(here, set_to, tmp_path):
    record()
    audit_log.sequence_all()
    anchored(here, set_to, (tmp_path / "not-mounted" / "checkpoints").as_uri())
    sequencer.forget()

    sequencer.sequence()

    assert sequencer.current().halted == "anchor-unreachable"


def test_failing_anchor_does_not_stop_signing(here, set_to, tmp_path):
    record()
    audit_log.sequence_all()
    anchored(here, set_to, (tmp_path / "gone" / "checkpoints").as_uri())
    before = newest().checkpoint.size
    record()

    audit_log.sequence_all()

    assert newest().checkpoint.size > before
    assert anchors.failing()


def test_truncated_anchor_file_is_read_to_its_end(here, set_to, tmp_path):
    path = tmp_path / "checkpoints"
    anchored(here, set_to, path.as_uri())
    record()
    audit_log.sequence_all()
    sequencer.sequence()
    whole = newest().note
    path.write_bytes(path.read_bytes() + b'"localhost/audit/1\\n99')

    assert anchors.newest_notes() == [whole]


def test_syslog_receiver_gets_the_checkpoint(here, set_to):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        anchored(here, set_to, f"syslog://127.0.0.1:{receiver.getsockname()[1]}")
        record()
        audit_log.sequence_all()
        sequencer.sequence()

        message = receiver.recv(65536).decode()

    assert message.startswith("<110>1 ")
    assert "localhost/audit/1" in message


def keys(app, set_to, *pairs):
    set_to(app, checkpoint_key=Keys(dict(pairs)))
    sequencer.forget()


def test_new_key_opens_tree_named_by_old_key(here, set_to):
    keys(here, set_to, ("old", OLD))
    record()
    audit_log.sequence_all()
    old = signing.keys().current.public
    final = newest().checkpoint
    keys(here, set_to, ("new", NEW), ("old", OLD))
    record()
    audit_log.sequence_all()

    with reading() as session:
        [note] = checkpoints.key_changes(session)
    change = notes.open_key_change(note, old, signing.verify)
    assert newest().checkpoint.epoch == 2
    assert (change.epoch, change.size, change.root) == (1, final.size, final.root)
    assert change.key == signing.keys().current.public
    assert signing.opened(newest().note, [change.key], "localhost/audit")
    found, _ = run.verify(run.Options())
    assert found.exit_code == 0, found.listed


def test_key_change_after_lost_key_has_no_note(here, set_to):
    keys(here, set_to, ("old", OLD))
    record()
    audit_log.sequence_all()
    keys(here, set_to, ("new", NEW))
    record()
    audit_log.sequence_all()

    with reading() as session:
        assert checkpoints.key_changes(session) == []
    assert newest().checkpoint.epoch == 2


def test_stream_has_each_event_once_after_restart(here, set_to, capsys):
    set_to(here, audit_stream="stdout")
    record()
    audit_log.sequence_all()
    sequencer.forget()
    record()
    audit_log.sequence_all()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"epoch"' in line]
    places = [(line["epoch"], line["index"]) for line in lines if "event" in line]

    assert places == [(1, at) for at in range(len(places))]
    assert len(places) == 4


def newest_row():
    with reading() as session:
        return checkpoints.last_signed(session)


def witnessed(app, set_to, witness, **more):
    key = witness.key if "key" not in more else more.pop("key")
    anchored(app, set_to, witness.url, audit_witness_keys=(str(key),), **more)


def add_log(app, witness):
    """Add a log to the witness, as `flask audit status` asks its operator to do."""
    done = app.test_cli_runner().invoke(args=["audit", "status", "--json"])
    witness.add(**json.loads(done.stdout)["witness"])


def grow(times=1):
    for _ in range(times):
        record()
        audit_log.sequence_all()
        sequencer.sequence()


def test_witness_cosigns_checkpoint_that_extends_its_last_one(here, set_to):
    with audit_anchors.witness() as witness:
        witnessed(here, set_to, witness)
        grow()
        assert anchors.failing() == [witness.url]  # it does not know the log yet
        add_log(here, witness)
        witnessed(here, set_to, witness)
        grow(3)
        witnessed(here, set_to, witness)  # after a restart the anchor requests the size
        grow()

        taken = anchors.taken_by(newest_row().anchored_to)[witness.url]
        signed = notes.parse(f"{notes.parse(newest().note).text}\n{taken}")
        assert anchors.failing() == []
        assert signed.signed_by(witness.key, signing.verify)
        assert {status for _, status in witness.requests} == {404, 200, 409}
        assert {path for path, _ in witness.requests} == {"/add-checkpoint"}


def test_witness_with_private_authority_needs_private_ca(here, set_to, tmp_path):
    authority = tls_sites.Authority()
    with audit_anchors.witness(authority.context(tmp_path, "localhost")) as witness:
        witnessed(here, set_to, witness)
        grow()
        rejected = anchors.failing()
        add_log(here, witness)
        witnessed(here, set_to, witness, private_ca=authority.pem())

        grow()

        assert rejected == [witness.url]
        assert {status for _, status in witness.requests} == {200}
        assert anchors.failing() == []


def test_witness_with_unexpected_key_is_a_failing_anchor(here, set_to):
    with audit_anchors.witness() as witness:
        other = VerificationKey(witness.key.name, b"x" * 32, COSIGNATURE)
        witnessed(here, set_to, witness, key=other)
        grow()
        add_log(here, witness)
        witnessed(here, set_to, witness, key=other)

        grow()

        assert anchors.failing() == [witness.url]


def test_witness_accepts_new_tree_after_it_is_added(here, set_to):
    keys(here, set_to, ("old", OLD))
    with audit_anchors.witness() as witness:
        witnessed(here, set_to, witness)
        grow()
        add_log(here, witness)
        keys(here, set_to, ("new", NEW), ("old", OLD))
        witnessed(here, set_to, witness)
        grow()
        add_log(here, witness)
        witnessed(here, set_to, witness)

        grow()

        assert anchors.failing() == []
        assert set(witness.seen) == {"localhost/audit/1", "localhost/audit/2"}


def test_checkpoint_falsely_marked_as_anchored_is_still_sent(here, set_to, tmp_path):
    path = tmp_path / "checkpoints"
    anchored(here, set_to, path.as_uri())
    grow()
    record()
    with claimed_as_anchored(path.as_uri()):
        audit_log.sequence_all()
        sequencer.sequence()

    assert json.loads(path.read_text().splitlines()[-1]) == newest().note


@contextlib.contextmanager
def claimed_as_anchored(url):
    """Mark each published checkpoint as anchored in the database."""
    whole = publishing._mark_published

    def mark(epoch):
        whole(epoch)
        with transaction() as session:
            says = json.dumps({url: ""})
            session.execute(sa.update(AuditCheckpoint).values(anchored_to=says))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(publishing, "_mark_published", mark)
        yield
