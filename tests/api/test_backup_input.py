"""Files, keys, schemas and locations that `flask backup` cannot use each have their own message."""

import contextlib
import errno
import json
import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.harness import app_fixtures, backups, servers
from tests.harness.app_fixtures import KEYS
from vaultr import clock
from vaultr.audit import checkpoints
from vaultr.backup import create, digests, programs, scratch, storage, verify
from vaultr.backup.errors import LocationFailed, ProgramFailed, VerificationFailed
from vaultr.backup.folder import Folder
from vaultr.backup.restore import target_url
from vaultr.database import schema_version
from vaultr.database.session import reading, transaction
from vaultr.security import keyring
from vaultr.settings.loader import generate_keys
from vaultr.settings.model import current_settings
from vaultr.settings.types import Keys

pytestmark = pytest.mark.usefixtures("migrated_to_newest")


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "backups"
    path.mkdir()
    return path


@pytest.fixture
def flask(app, example, place, set_to, monkeypatch):
    """``flask("verify", FILE)``: run a `flask backup` command."""
    sealed_for = {"recipient": example.recipient, "identity": example.identity}
    with backups.commands(app, place, set_to, monkeypatch, **sealed_for) as run:
        yield run


@pytest.fixture
def made(flask, example, place):
    """A sealed backup of another database, as a path."""
    return example.in_folder(place)


@pytest.fixture
def empty_url(postgres_url):
    url = servers.fresh_database(postgres_url)
    yield url
    servers.drop_database(url)


def rejected(flask, path, url, says):
    """Check that verify and restore reject a file, and that nothing was restored."""
    for words in (("verify", str(path)), ("restore", str(path), "--into", url)):
        done = flask(*words)
        assert done.exit_code == 1
        assert says in done.output, done.output
    with scratch.connected(url) as connection:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert connection.scalar(sa.text(tables)) == 0
    assert not path.with_name(f"{path.name}.verified").exists()


@pytest.mark.parametrize("left", [0, 100, 0.5, -1])
def test_truncated_backup_is_rejected(flask, made, empty_url, left):
    whole = made.read_bytes()
    cut = int(len(whole) * left) if isinstance(left, float) else left
    made.write_bytes(whole[:cut] if left else b"")

    rejected(flask, made, empty_url, "not a backup" if not left else "backup")


@pytest.mark.parametrize("place_of_byte", [0.1, 0.5, 0.999])
def test_one_flipped_byte_is_rejected(flask, made, empty_url, place_of_byte):
    content = bytearray(made.read_bytes())
    content[int(len(content) * place_of_byte)] ^= 1
    made.write_bytes(content)

    rejected(flask, made, empty_url, "truncated or was changed")


def test_plain_archive_with_flipped_byte_is_rejected(flask, app, set_to, place, empty_url):
    set_to(app, backup_recipient=None)
    path = place / create.create(current_settings(), Folder(place)).name
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)

    rejected(flask, path, empty_url, "The dump in the backup was changed")


def test_backup_for_another_recipient_is_rejected(flask, app, made, empty_url, set_to, tmp_path):
    other, _ = backups.new_identity(tmp_path, "other")
    set_to(app, backup_identity_file=other)

    rejected(flask, made, empty_url, "sealed for another recipient")


def test_file_that_is_not_a_backup_is_rejected(flask, place, empty_url):
    path = place / storage.new_name(clock.now(), sealed=True)
    path.write_bytes(b"PGDMP" + bytes(5000))

    rejected(flask, path, empty_url, "not a backup that Vaultr made")


def use_keys(app, **changed):
    """Load other keys into the server."""
    texts = {**{name: KEYS[name] for name in keyring.RINGS}, **changed}
    rings = {name: keyring.KeyRing(Keys.parse(texts[name])) for name in keyring.RINGS}
    named = {keyring.RINGS[name]: ring for name, ring in rings.items()}
    keyring.KEYS.set(app, keyring.ServerKeys(**named))


@pytest.fixture
def own_keys(app):
    """Restore the server's keys afterwards."""
    before = keyring.KEYS.get(app)
    yield
    keyring.KEYS.set(app, before)


@pytest.mark.parametrize("name", ["PEPPER", "AUDIT_KEY"])
def test_restore_without_a_needed_key_is_rejected(flask, app, made, empty_url, own_keys, name):
    use_keys(app, **{name: generate_keys("other")[name]})

    rejected(flask, made, empty_url, f"needs keys that are not set here: {name} test")


def test_restore_with_wrong_key_of_same_id_is_rejected(flask, app, made, empty_url, own_keys):
    use_keys(app, PEPPER=generate_keys("test")["PEPPER"])

    rejected(flask, made, empty_url, "right ids but other contents")


def test_schema_newer_than_the_code_is_rejected(flask, app, migrated_to, place, empty_url):
    newest = schema_version.known()[-1]
    migrated_to("9999")
    path = place / create.create(current_settings(), Folder(place)).name
    migrated_to(newest)

    rejected(flask, path, empty_url, "The backup has schema 9999")


def test_password_on_the_command_line_is_rejected(flask, made):
    done = flask("restore", str(made), "--into", "postgresql://ann:secret@127.0.0.1/x")

    assert done.exit_code == 1
    assert "--into-file" in done.output
    assert "secret" not in done.output


def test_password_comes_from_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("a password with / and @\n")

    url = target_url("postgresql://ann@127.0.0.1/x", file)

    assert sa.make_url(url).password == "a password with / and @"


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "is full"), (errno.EACCES, "cannot be written")]
)
def test_unwritable_location_is_reported(place, number, says):
    def fail(_file):
        raise OSError(number, os.strerror(number))

    with pytest.raises(LocationFailed, match=says):
        Folder(place).write("vaultr-20261130T120000Z-000000.tar", fail)

    assert list(place.iterdir()) == []


def test_missing_location_is_reported(flask, app, set_to, place):
    set_to(app, backup_location=str(place / "missing"))

    done = flask("create")

    assert done.exit_code == 1
    assert "does not exist. Create it, or mount its disk." in done.output


def test_missing_backup_is_reported(flask, place):
    done = flask("verify", str(place / "vaultr-20261130T120000Z-000000.tar.age"))

    assert done.exit_code == 1
    assert "has no backup vaultr-2026" in done.output


def test_server_newer_than_the_programs_is_rejected(monkeypatch):
    monkeypatch.setenv("PATH", backups.path_with_programs())

    with pytest.raises(Exception, match="The server is PostgreSQL 99"):
        programs.check_version(990_001)


@pytest.mark.postgresql_only
def test_missing_programs_are_reported(flask, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    done = flask("create")

    assert done.exit_code == 1
    assert "postgresql-client-17" in done.output


@pytest.mark.postgresql_only
def test_failed_dump_leaves_no_file(flask, place, monkeypatch, tmp_path):
    fake = tmp_path / "bin"
    fake.mkdir()
    real = Path(backups.path_with_programs().partition(":")[0]) / "pg_dump"
    script = f'#!/bin/sh\ncase "$1" in --version) exec {real} --version;; esac\n'
    (fake / "pg_dump").write_text(f"{script}echo half; echo 'pg_dump: error: no' >&2; exit 1\n")
    (fake / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")

    with pytest.raises(ProgramFailed, match="pg_dump: error: no"):
        create.create(current_settings(), Folder(place))

    assert list(place.iterdir()) == []


def backup_with_changed_data(place, monkeypatch, statement):
    """Make a backup whose data changes after it was counted and before the dump."""
    original = digests.computed

    @contextlib.contextmanager
    def computed(url, **options):
        with original(url, **options) as tables:
            found = tables()
        with scratch.connected(url, isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)
        yield lambda: found

    with monkeypatch.context() as patched:
        patched.setattr(digests, "computed", computed)
        patched.setattr(programs, "dump", dump_now)
        return create.create(current_settings(), Folder(place)).name


def dump_now(address, _snapshot):
    url = current_settings().database_url.get_secret_value()
    with scratch.connected(url, isolation_level="REPEATABLE READ") as connection:
        snapshot = connection.scalar(sa.text("SELECT pg_export_snapshot()"))
        yield from DUMP(address, snapshot)


DUMP = programs.dump
STATE_KNOWN = (
    "ALTER TABLE items ADD CONSTRAINT ck_items_state_known CHECK (state IN ('active', 'trash'))"
)


@pytest.mark.postgresql_only
def test_verify_detects_rows_missing_in_backup(flask, place, monkeypatch):
    backups.fill()
    statement = (
        "DELETE FROM versions; UPDATE items SET size = size + 1;"
        "ALTER TABLE items DROP CONSTRAINT ck_items_state_known"
    )
    try:
        name = backup_with_changed_data(place, monkeypatch, statement)

        with pytest.raises(VerificationFailed) as failed:
            verify.verify(current_settings(), Folder(place), name)
    finally:
        with transaction() as session:
            check = "CHECK (state IN ('active', 'trash'))"
            session.execute(
                sa.text(f"ALTER TABLE items ADD CONSTRAINT ck_items_state_known {check}")
            )

    says = failed.value.detail
    assert "the table versions has 0 rows instead of 3" in says
    assert "a value in the table items was changed" in says
    assert "the constraint items.ck_items_state_known is missing" in says


@pytest.mark.postgresql_only
def test_verify_detects_log_damaged_before_backup(flask, place):
    writer = backups.fill()
    with transaction() as session:
        session.execute(sa.text("UPDATE vaults SET head = sha256('x')"))
        session.execute(sa.text("DELETE FROM audit_leaf WHERE idx > 0"))
    name = create.create(current_settings(), Folder(place)).name

    with pytest.raises(VerificationFailed) as failed:
        verify.verify(current_settings(), Folder(place), name)

    assert f"vault {writer.id}: its log ends at entry 3" in failed.value.detail
    assert "audit log:" in failed.value.detail


def test_verify_detects_log_that_contradicts_an_anchor(flask, app, place, set_to, tmp_path):
    backups.fill()
    with reading() as session:
        note = checkpoints.last_signed(session).note
    anchor = tmp_path / "anchor"
    anchor.write_text(f"{json.dumps(note)}\n")
    set_to(app, audit_anchors=(anchor.as_uri(),))
    app_fixtures.empty(app)  # an operator who has all keys writes another log
    backups.fill(items=5)
    name = create.create(current_settings(), Folder(place)).name

    with pytest.raises(VerificationFailed) as failed:
        verify.verify(current_settings(), Folder(place), name)
    set_to(app, audit_anchors=())

    assert "audit log:" in failed.value.detail
    assert verify.verify(current_settings(), Folder(place), name).name == name
