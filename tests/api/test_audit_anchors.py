"""Anchors, changes of the signing key, and the stream for a SIEM."""

import json
import socket

import pytest

from tests.harness import audit_log
from vaultr.audit import anchors, checkpoints, sequencer, service, signing, state_file
from vaultr.audit.events import Event
from vaultr.audit.verification import run
from vaultr.database.session import reading, transaction
from vaultr.protocol import notes
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


def test_file_gets_every_newest_checkpoint_and_verifies(here, set_to, tmp_path):
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


def test_failing_anchor_stops_nothing(here, set_to, tmp_path):
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


def test_lost_key_leaves_no_note(here, set_to):
    keys(here, set_to, ("old", OLD))
    record()
    audit_log.sequence_all()
    keys(here, set_to, ("new", NEW))
    record()
    audit_log.sequence_all()

    with reading() as session:
        assert checkpoints.key_changes(session) == []
    assert newest().checkpoint.epoch == 2


def test_stream_has_each_event_once_also_after_a_restart(here, set_to, capsys):
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
