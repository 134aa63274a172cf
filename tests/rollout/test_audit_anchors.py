"""External anchors: S3 servers, and the witness `litewitness`."""

import importlib
import json
from dataclasses import replace

import pytest

from tests.harness import app_fixtures, audit_anchors, audit_log, buckets, litewitness, servers
from vaultr.audit import anchors, checkpoints, sequencer, service, signing, state_file
from vaultr.audit.anchor_kinds import AnchorFailed
from vaultr.audit.events import Event
from vaultr.audit.verification import run
from vaultr.database.session import db, reading, transaction
from vaultr.protocol import notes


@pytest.fixture
def make(tmp_path):
    """``make(AUDIT_ANCHORS=…)``: create an app with a log, and enter its context."""
    opened = []

    def build(**more):
        app = app_fixtures.built(app_fixtures.environ_for(tmp_path, **more))
        opened.append(app.app_context())
        opened[-1].push()
        return app

    yield build
    for each in reversed(opened):
        db.engine.dispose()
        each.pop()


def grow(events=3):
    for _ in range(events):
        with transaction():
            service.record(Event.ITEM_WRITE, account_id=None)
        audit_log.sequence_all()
    for _ in range(3):
        sequencer.sequence()


def newest():
    with reading() as session:
        return checkpoints.last_signed(session)


@pytest.fixture(params=["moto", "rclone"])
def bucket(request, tmp_path, monkeypatch):
    """A bucket on an S3 server; moto's has object lock."""
    boto3 = importlib.import_module("boto3")
    port = servers.free_port()
    folder = tmp_path / "objects"
    folder.mkdir()
    moto = request.param == "moto"
    command = audit_anchors.moto(port) if moto else buckets.command(port, folder)
    with audit_anchors.s3_server(command, port) as url:
        buckets.use(url, monkeypatch)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")  # others need a location
        client = boto3.client("s3")
        lock = {"ObjectLockEnabledForBucket": True} if moto else {}
        client.create_bucket(Bucket="anchors", **lock)
        if lock:
            rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
            client.put_object_lock_configuration(
                Bucket="anchors",
                ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
            )
        yield client


def test_sequencer_without_state_file_resumes_from_bucket_checkpoints(make, bucket):
    make(AUDIT_ANCHORS="s3://anchors/vault")
    grow()
    listed = bucket.list_objects_v2(Bucket="anchors", Prefix="vault/checkpoint-")["Contents"]
    bodies = [bucket.get_object(Bucket="anchors", Key=one["Key"])["Body"].read() for one in listed]
    found, _ = run.verify(run.Options(anchors=[one.decode() for one in bodies]))
    assert found.exit_code == 0, found.listed
    assert anchors.newest_notes() == [newest().note]
    state_file.path().unlink()
    sequencer.forget()

    grow(1)

    assert sequencer.current().halted is None
    assert anchors.newest_notes() == [newest().note]


def added(app, witness):
    """Add the witness settings that `flask audit status` prints for its operator."""
    done = app.test_cli_runner().invoke(args=["audit", "status", "--json"])
    witness.add(**json.loads(done.stdout)["witness"])


@pytest.mark.long  # builds the program
def test_litewitness_cosigns_extensions_and_rejects_forged_checkpoint(make, tmp_path):
    (tmp_path / "witness").mkdir()
    with litewitness.running(tmp_path / "witness") as witness:
        settings = {"AUDIT_ANCHORS": witness.url, "AUDIT_WITNESS_KEYS": str(witness.key)}
        app = make(**settings)
        grow(1)
        assert anchors.failing() == [witness.url]  # it does not know the log yet
        added(app, witness)
        make(**settings)
        grow()
        make(**settings)  # after a restart the anchor requests the size
        grow(1)

        stored = newest()
        cosigned = anchors.taken_by(stored.anchored_to)[witness.url]
        signed = notes.parse(f"{notes.parse(stored.note).text}\n{cosigned}")
        assert anchors.failing() == []
        assert signed.signed_by(witness.key, signing.verify)
        assert witness.sizes() == {"localhost/audit/1": stored.size}

        forged = replace(checkpoints.of_note(stored.note).checkpoint, root=b"x" * 32)
        [state] = anchors._STATES.get().all
        with reading() as session, pytest.raises(AnchorFailed, match="422"):
            state.anchor.send(signing.keys().checkpoint(forged), session)
        assert witness.sizes() == {"localhost/audit/1": stored.size}
