"""Backups in a bucket with object lock, simulated by moto: `prune` keeps locked backups."""

import json
from datetime import UTC, datetime

import pytest

from tests.harness import backups
from tests.rollout import aws
from vaultr.backup import storage
from vaultr.backup.bucket import Bucket

pytestmark = pytest.mark.usefixtures("migrated_to_newest")
LOCKED, OPEN, LOCKABLE = "locked-backups", "open-backups", "lockable-backups"
OLD = ("vaultr-20200101T000000Z-000001.tar.age", "vaultr-20200102T000000Z-000002.tar.age")


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    """A moto with three buckets; one locks each new object for a day, one none by itself."""
    region = {"CreateBucketConfiguration": {"LocationConstraint": aws.REGION}}
    retention = {"Mode": "COMPLIANCE", "Days": 1}
    with aws.Cloud(tmp_path_factory.mktemp("moto")) as cloud:
        cloud.call("s3", "create_bucket", Bucket=OPEN, **region)
        for name in (LOCKED, LOCKABLE):
            cloud.call(
                "s3", "create_bucket", Bucket=name, ObjectLockEnabledForBucket=True, **region
            )
        cloud.call(
            "s3",
            "put_object_lock_configuration",
            Bucket=LOCKED,
            ObjectLockConfiguration={
                "ObjectLockEnabled": "Enabled",
                "Rule": {"DefaultRetention": retention},
            },
        )
        yield cloud


@pytest.fixture
def flask(app, moto, example, tmp_path, set_to, monkeypatch):
    """Run a `flask backup` command on one of the buckets."""
    for name, value in moto.environ.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    keys = {"recipient": example.recipient, "identity": example.identity}
    with backups.commands(app, tmp_path, set_to, monkeypatch, **keys) as run:

        def on(bucket, *words):
            set_to(app, backup_location=f"s3://{bucket}/{tmp_path.name}")
            return run(*words)

        yield on


def put_old(bucket, prefix):
    """Store two old backups and a new one, which is never pruned."""
    new = storage.new_name(datetime.now(UTC), sealed=True)
    for name in (*OLD, new):
        Bucket(bucket, prefix).write(name, lambda target: target.write(b"a backup"))
    return new


@pytest.mark.parametrize("bucket", [OPEN, LOCKED])
def test_backup_in_bucket_is_created_and_verified(flask, bucket):
    backups.fill()

    made = flask(bucket, "create")
    drilled = flask(bucket, "drill", "--json")
    listed = json.loads(flask(bucket, "list", "--json").stdout)

    assert made.exit_code == 0, made.output
    assert drilled.exit_code == 0, drilled.output
    assert {"name": made.stdout.strip(), "verified": True}.items() <= listed[-1].items()


def test_prune_removes_old_backups_from_unlocked_bucket(flask, tmp_path):
    new = put_old(OPEN, tmp_path.name)

    pruned = flask(OPEN, "prune", "--keep-days", "30", "--keep-monthly", "0")

    assert pruned.exit_code == 0, pruned.output
    assert [f"{name} removed" in pruned.stdout for name in OLD] == [True, True]
    assert [one["name"] for one in json.loads(flask(OPEN, "list", "--json").stdout)] == [new]


def test_prune_keeps_and_reports_locked_backups(flask, moto, tmp_path):
    put_old(LOCKED, tmp_path.name)

    pruned = flask(LOCKED, "prune", "--keep-days", "30", "--keep-monthly", "0")

    assert pruned.exit_code == 0, pruned.output
    says = [f"{name} is still locked and was not removed" in pruned.stdout for name in OLD]
    assert says == [True, True]
    assert "0 removed" in pruned.stdout
    kept = {one["name"] for one in json.loads(flask(LOCKED, "list", "--json").stdout)}
    assert set(OLD) <= kept
    versions = moto.call("s3", "list_object_versions", Bucket=LOCKED)
    assert "DeleteMarkers" not in versions


def test_locked_verification_marker_is_removed_by_later_prune(flask, moto, tmp_path):
    put_old(LOCKABLE, tmp_path.name)
    bucket, prune = Bucket(LOCKABLE, tmp_path.name), ("prune", "--keep-days=30", "--keep-monthly=0")
    bucket.mark_verified(OLD[0], {})
    bucket.mark_verified(OLD[1], {})  # the newest verified one stays
    mark = {"Bucket": LOCKABLE, "Key": f"{tmp_path.name}/{OLD[0]}{storage.VERIFIED}"}
    moto.call("s3", "put_object_legal_hold", **mark, LegalHold={"Status": "ON"})

    pruned = flask(LOCKABLE, *prune)
    left = moto.call("s3", "list_objects_v2", Bucket=LOCKABLE)["Contents"]
    moto.call("s3", "put_object_legal_hold", **mark, LegalHold={"Status": "OFF"})
    again = flask(LOCKABLE, *prune)

    assert pruned.exit_code == again.exit_code == 0, pruned.output + again.output
    assert f"{OLD[0]} removed" in pruned.stdout
    assert mark["Key"] in {one["Key"] for one in left}
    after = moto.call("s3", "list_objects_v2", Bucket=LOCKABLE)["Contents"]
    assert {one["Key"] for one in left} - {one["Key"] for one in after} == {mark["Key"]}
