"""Backups in a bucket, tested with `rclone serve s3`, an S3 server."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness import backups, buckets, servers, tls_sites
from vaultr.backup import create, drill, retention, storage, verify
from vaultr.backup.bucket import Bucket
from vaultr.backup.errors import LocationFailed
from vaultr.settings.model import current_settings

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("migrated_to_newest")]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """The address of an S3 server whose only bucket is a folder."""
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "vaultr-backups").mkdir()
    with buckets.serving(folder) as port:
        yield f"http://127.0.0.1:{port}"
    shutil.rmtree(folder)


@pytest.fixture
def bucket(endpoint, monkeypatch):
    buckets.use(endpoint, monkeypatch)
    place = Bucket("vaultr-backups", "production")
    buckets.wait_until_listed(place)
    return place


@pytest.fixture
def settings(app, example, set_to, monkeypatch):
    monkeypatch.setenv("PATH", backups.path_with_programs())
    set_to(app, backup_recipient=example.recipient, backup_identity_file=example.identity)
    with app.app_context():
        yield current_settings()


def test_bucket_backup_can_be_created_drilled_and_pruned(settings, bucket):
    backups.fill()

    name = create.create(settings, bucket).name
    done = drill.drill(settings, bucket, rto=3600, rpo=3600)
    pruned = retention.prune(
        bucket, datetime.now(UTC) + timedelta(days=60), keep_days=30, keep_monthly=0
    )

    assert done.ok, done.problem
    assert [(one.name, one.verified) for one in bucket.list()] == [(name, True)]
    assert pruned.removed == ()
    assert bucket.remove(name)
    assert bucket.list() == []


def test_interrupted_upload_leaves_no_object(settings, bucket):
    def fail(target):
        target.write(bytes(10_000_000))
        raise InterruptedError("killed")

    with pytest.raises(InterruptedError):
        bucket.write(storage.new_name(datetime.now(UTC), sealed=True), fail)

    assert bucket.list() == []


def test_large_backup_is_uploaded_in_parts(settings, bucket):
    name = storage.new_name(datetime.now(UTC), sealed=True)

    size = bucket.write(name, lambda target: [target.write(bytes(1_000_000)) for _ in range(20)])

    assert size == 20_000_000
    with bucket.open(name) as source:
        assert len(source.read()) == size
    bucket.remove(name)


def test_missing_bucket_and_unreachable_server_are_reported(settings, bucket, monkeypatch):
    with pytest.raises(LocationFailed, match="cannot be used: NoSuchBucket"):
        Bucket("other", "").list()
    with pytest.raises(LocationFailed, match="has no backup vaultr-missing"):
        verify.inspect(settings, bucket, "vaultr-missing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{servers.free_port()}")
    with pytest.raises(LocationFailed, match="EndpointConnectionError"):
        Bucket("vaultr-backups", "").list()


def test_bucket_with_private_authority_needs_private_ca(settings, monkeypatch, tmp_path):
    authority = tls_sites.Authority()
    authority.context(tmp_path, "localhost")
    tls = ("--cert", tmp_path / "localhost.crt", "--key", tmp_path / "localhost.key")
    (tmp_path / "data" / "vaultr-backups").mkdir(parents=True)
    trusting = {"private_ca": authority.pem(), "vaultr_home": tmp_path / "home"}
    with buckets.serving(tmp_path / "data", *tls) as port:
        buckets.use(f"https://localhost:{port}", monkeypatch)

        listed = buckets.wait_until_listed(
            Bucket("vaultr-backups", "", settings.model_copy(update=trusting))
        )

        assert listed == []
        with pytest.raises(LocationFailed, match="SSLError"):
            Bucket("vaultr-backups", "", settings).list()
