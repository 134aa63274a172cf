"""`flask backup`: create, verify, restore, drill and prune."""

import contextlib
import json
import sqlite3
import tarfile
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
import time_machine
from pydantic import SecretStr

from tests.harness import app_fixtures, backups, operator_fixtures, servers
from vaultr.backup import digests, scratch, storage
from vaultr.backup import restore as restores
from vaultr.backup.create import create as make
from vaultr.backup.errors import TargetUnusable
from vaultr.backup.folder import Folder
from vaultr.backup.verify import inspect
from vaultr.database import engine, schema_version
from vaultr.ops import last_runs
from vaultr.ops.last_runs import RunKind
from vaultr.settings.model import current_settings

pytestmark = pytest.mark.usefixtures("migrated_to_newest")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "backups"
    path.mkdir()
    return path


@pytest.fixture
def flask(app, folder, tmp_path, set_to, monkeypatch):
    """``flask("create")``: run a `flask backup` command, with recipient and identity."""
    identity, recipient = backups.new_identity(tmp_path)
    with backups.commands(
        app, folder, set_to, monkeypatch, recipient=recipient, identity=identity
    ) as run:
        yield run


def made(flask):
    """Make a backup, and return its name."""
    done = flask("create")
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


@pytest.mark.both_databases
def test_backup_of_every_table_passes_verification(flask, folder):
    backups.fill()

    name = made(flask)
    before = json.loads(flask("list", "--json").stdout)
    verified = flask("verify", name, "--json")

    assert verified.exit_code == 0, verified.output
    assert json.loads(verified.stdout)["rows"] > 20
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert [one["verified"] for one in before] == [False]
    assert [one["verified"] for one in json.loads(flask("list", "--json").stdout)] == [True]
    assert sorted(path.name for path in folder.iterdir()) == [name, f"{name}.verified"]
    assert last_runs.last(RunKind.BACKUP_MADE).facts["file"] == name
    assert last_runs.last(RunKind.BACKUP_VERIFIED).facts["file"] == name


def test_backup_is_not_limited_by_request_deadline(flask, monkeypatch):
    backups.fill()
    digest = digests._of_table

    def large(connection, name):
        if name == "entries":
            connection.exec_driver_sql("SELECT pg_sleep(1.5)")
        return digest(connection, name)

    monkeypatch.setattr(digests, "_of_table", large)
    monkeypatch.setattr(engine, "deadline", ContextVar("request", default=1.0))
    name = made(flask)

    assert flask("verify", name).exit_code == 0


def test_backup_cannot_be_opened_without_identity(flask, app, set_to):
    name = made(flask)
    set_to(app, backup_identity_file=None)

    done = flask("verify", name)

    assert done.exit_code == 1
    assert "BACKUP_IDENTITY_FILE is missing" in done.output


def test_each_of_two_recipients_can_open_a_backup(flask, app, set_to, folder, tmp_path):
    first, one = backups.new_identity(tmp_path, "first")
    second, two = backups.new_identity(tmp_path, "second")
    set_to(app, backup_recipient=f"{one}, {two}")
    name = made(flask)

    for identity in (first, second):
        set_to(app, backup_identity_file=identity)

        assert inspect(current_settings(), Folder(folder), name).revision > "0001"


def test_create_in_production_without_recipient_is_rejected(flask, app, set_to, folder):
    set_to(app, vaultr_env="production", backup_recipient=None)

    done = flask("create")

    assert done.exit_code == 1
    assert "BACKUP_RECIPIENT is missing" in done.output
    assert list(folder.iterdir()) == []


def test_backup_without_recipient_in_development_is_a_plain_tar(flask, app, set_to, folder):
    set_to(app, backup_recipient=None, backup_identity_file=None)

    name = made(flask)

    with tarfile.open(folder / name) as archive:
        assert archive.getnames() == ["dump/000000001", "manifest.json"]


def test_parallel_creates_make_two_complete_backups(flask, app, folder):
    names = []

    def run():
        with app.app_context():
            names.append(make(current_settings(), Folder(folder)).name)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(names)) == 2
    assert all(inspect(current_settings(), Folder(folder), name) for name in names)


@pytest.fixture
def stored(app, set_to, example, folder, flask):
    """The example, at the location of `flask`."""
    set_to(app, backup_identity_file=example.identity)
    return example.in_folder(folder)


def test_drill_prints_measured_seconds_and_age(flask, stored):
    done = flask("drill", "--json")

    found = json.loads(done.stdout)
    assert done.exit_code == 0, done.output
    assert found["ok"] is True
    assert found["rows"] > 20
    assert found["revision"] == schema_version.known()[-1]
    assert 0 <= found["rpo_seconds"] < 3600
    assert 0 < found["seconds"] < 3600
    assert last_runs.last(RunKind.DRILL).age_seconds < 600
    assert last_runs.last(RunKind.BACKUP_VERIFIED).facts["file"] == stored.name


@pytest.mark.parametrize(("option", "says"), [("--rto", "the restore took"), ("--rpo", "age of")])
def test_drill_fails_if_an_objective_is_missed(flask, stored, option, says):
    done = flask("drill", "--json", option, "0")

    assert done.exit_code == 1
    assert says in json.loads(done.stdout)["problem"]
    assert last_runs.last(RunKind.DRILL) is None


def test_drill_without_backup_reports_missing_backup(flask):
    done = flask("drill", "--json")

    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"]) == (1, False)
    assert "There is no backup" in found["problem"]


def test_scratch_database_of_killed_command_is_dropped_by_next_command(flask, app, postgres_url):
    with scratch.connected(postgres_url, isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE vaultr_scratch_leftover")

    with scratch.database(current_settings(), "postgresql"):
        pass

    with scratch.connected(postgres_url) as connection:
        query = "SELECT datname FROM pg_database WHERE datname LIKE 'vaultr_scratch%'"
        assert "vaultr_scratch_leftover" not in list(connection.scalars(sa.text(query)))


def test_scratch_database_in_use_is_not_dropped_by_another_command(flask, postgres_url):
    elsewhere = current_settings().model_copy(
        update={"backup_scratch_url": SecretStr(postgres_url)}
    )
    long_ago = time.time() - 3600
    with time_machine.travel(long_ago), scratch.database(current_settings(), "postgresql") as url:
        with time_machine.travel(long_ago + 1800), scratch.database(elsewhere, "postgresql"):
            pass

        with scratch.connected(url) as connection:
            assert connection.scalar(sa.text("SELECT 1")) == 1


def test_prune_keeps_days_months_and_newest_verified(flask, folder):
    now = datetime.now(UTC)
    ages = [0, 5, 40, 41, 75, 400]
    names = {}
    for age in ages:
        name = storage.new_name(now - timedelta(days=age), sealed=True)
        (folder / name).write_bytes(b"x")
        names[age] = name
    (folder / f"{names[400]}.verified").write_text("{}")

    planned = flask("prune", "--keep-days", "30", "--keep-monthly", "0", "--dry-run", "--json")
    done = flask("prune", "--keep-days", "30", "--keep-monthly", "0", "--json")

    removed = {names[40], names[41], names[75]}
    assert set(json.loads(planned.stdout)["removed"]) == removed
    assert set(json.loads(done.stdout)["removed"]) == removed
    left = {path.name for path in folder.iterdir()}
    assert left == {names[0], names[5], names[400], f"{names[400]}.verified"}


@pytest.fixture(scope="module")
def other_server():
    """A PostgreSQL without our roles."""
    with servers.postgres(own=True) as server:
        yield server


def test_restore_into_empty_database_creates_roles_and_lists_next_steps(
    flask, stored, other_server
):
    url = servers.fresh_database(other_server.url)

    done = flask("restore", str(stored), "--into", url)
    again = flask("restore", str(stored), "--into", url)

    assert done.exit_code == 0, done.output
    for word in ("roles.sql", "DATABASE_URL", "flask audit reopen", "vaultr sync --accept"):
        assert word in done.stdout
    with scratch.connected(url) as connection:
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        may = "SELECT has_table_privilege('vaultr_app', 'audit_event', :right)"
        assert connection.scalar(sa.text("SELECT count(*) FROM items")) == 3
        assert list(connection.scalars(sa.text(owners))) == ["vaultr_owner"]
        rights = {
            right: connection.scalar(sa.text(may), {"right": right})
            for right in ("INSERT", "UPDATE", "DELETE")
        }
    assert rights == {"INSERT": True, "UPDATE": False, "DELETE": False}
    assert again.exit_code == 1
    assert "The database is not empty" in again.output


def test_older_schema_is_restored_with_advice_to_migrate(flask, migrated_to, other_server):
    migrated_to("0011")
    name = made(flask)
    url = servers.fresh_database(other_server.url)

    done = flask("restore", name, "--into", url)

    assert done.exit_code == 0, done.output
    assert "`flask db upgrade`" in done.output


def test_sqlite_backup_is_restored_into_a_new_file(sqlite_app, tmp_path):
    app_fixtures.empty(sqlite_app)
    target = tmp_path / "restored.sqlite3"
    settings = sqlite_app.config["SETTINGS"]
    folder = Folder(tmp_path)
    with (
        sqlite_app.app_context(),
        operator_fixtures.schema_says(sqlite_app, schema_version.known()[-1]),
    ):
        backups.fill()

        name = make(settings, folder).name
        restores.restore(settings, folder, name, f"sqlite:///{target}")
        with pytest.raises(TargetUnusable, match="exists already"):
            restores.restore(settings, folder, name, f"sqlite:///{target}")

    assert target.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(target)) as restored:
        assert restored.execute("SELECT count(*) FROM items").fetchone() == (3,)
