"""A full disk: writes are rejected, none is half done, and all works again once there is space."""

import contextlib
import os
import pwd
import time
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import app_fixtures, audit_log, servers
from tests.harness.disks import SmallDisk
from tests.harness.gunicorn_server import running
from tests.harness.load_writers import WIDE, Owners
from tests.harness.timing import until as eventually
from vaultr.audit.verification import run
from vaultr.database.session import db
from vaultr.security import keyring


@pytest.fixture
def disk():
    made = []

    def make(folder, megabytes):
        made.append(SmallDisk(folder, megabytes))
        return made[-1]

    yield make
    for one in made:
        one.remove()


@contextlib.contextmanager
def app_beside(server, home, **more):
    mine = app_fixtures.environ_for(home, **more) | {"BASE_URL": server.url}
    app = app_fixtures.create_app(app_fixtures.Settings.from_environ(mine))
    yield app
    with app.app_context():
        db.engine.dispose()


def until_rejected(owners):
    """Write until the disk is full; rejected writes get 503 in time."""
    until = time.monotonic() + 60
    for one in owners.all:
        while one.write(once=True):
            assert time.monotonic() < until
    return {status for one in owners.all for status in one.rejected}


def grow(url):
    """Make the file of a table that every write extends larger than all files that must be written.

    The limit applies to each file, and PostgreSQL's WAL files have 16 MiB.
    """
    with contextlib.closing(psycopg2.connect(url)) as admin, admin.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_pending SET (autovacuum_enabled = off)")
        admin.commit()
        for _ in range(15):  # each within the time limit of a statement
            cursor.execute(
                "INSERT INTO audit_pending SELECT gen_random_uuid() FROM generate_series(1, 30000)"
            )
        admin.rollback()  # its rows are gone, but its size is not


LOG_TABLES = ("audit_event", "audit_pending", "audit_leaf", "audit_node")


def tablespace(server, small):
    """Create a tablespace ``small`` on a small disk."""
    server_user = psutil.Process(server._process.pid).uids().effective
    os.chown(small.folder, server_user, pwd.getpwuid(server_user).pw_gid)
    with contextlib.closing(psycopg2.connect(server.url)) as admin:
        admin.autocommit = True
        admin.cursor().execute(f"CREATE TABLESPACE small LOCATION '{small.folder}'")


def test_full_postgresql_rejects_writes_and_keeps_reading(own_postgres, disk, tmp_path, redis_url):
    small = disk(own_postgres.folder / "tablespace", 40)  # where its user has access
    tablespace(own_postgres, small)
    with contextlib.closing(psycopg2.connect(own_postgres.url)) as admin:
        admin.autocommit = True
        admin.cursor().execute("CREATE DATABASE full_one TABLESPACE small TEMPLATE template0")
    url = urlunsplit(urlsplit(own_postgres.url)._replace(path="/full_one"))
    more = {"DATABASE_URL": url, "REDIS_URL": redis_url}
    home = tmp_path / "home"
    home.mkdir()
    with (
        running(home, WEB_CONCURRENCY="2", BACKGROUND="process", **more, **WIDE) as server,
        app_beside(server, home, **more) as app,
    ):
        owners = Owners(app, server.url, 2)
        for one in owners.all:
            one.write()
        if not small.mounted:
            grow(url)
        small.fill(psutil.Process(own_postgres._process.pid), psutil.Process(server.process.pid))

        rejected = until_rejected(owners)

        assert rejected <= ({503} if small.mounted else {500, 503})
        assert not small.mounted or '"cause": "DiskFull"' in server.printed()
        assert owners.all[0].writer.client.get("/api/v1/vaults").status_code == 200
        assert server.get("/api/ready")[0] == 200
        if small.mounted:
            eventually(lambda: b"database-writes" in server.get("/api/ready")[1])
        small.make_room()
        eventually(lambda: b"database-writes" not in server.get("/api/ready")[1])
        for one in owners.all:
            one.writer.sync()
            assert one.write()
        owners.check(app)


@pytest.mark.long
def test_full_disk_of_the_log_commits_no_change(own_postgres, disk, tmp_path):
    small = disk(own_postgres.folder / "tablespace", 8)
    tablespace(own_postgres, small)
    url = servers.fresh_database(own_postgres.url)
    app = app_fixtures.built(app_fixtures.environ_for(tmp_path, DATABASE_URL=url))
    with app.app_context():
        with db.engine.begin() as connection:
            for table in LOG_TABLES:
                connection.execute(sa.text(f"ALTER TABLE {table} SET TABLESPACE small"))
        owner = factories.owner("ann@example.org")
        sessions = [factories.session(owner) for _ in range(25)]
        db.engine.dispose()  # a limit applies only to connections opened afterwards
    small.fill(psutil.Process(own_postgres._process.pid))
    client, logout = app.test_client(), "/api/v1/auth/logout"

    answers = [(each, client.post(logout, headers=each.headers)) for each in sessions]

    [(rejected, answer), *_] = [each for each in answers if each[1].status_code != 204]
    assert answer.status_code == 503
    assert answer.json["type"] == "urn:vaultr:problem:audit-unavailable"
    assert {each.status_code for _, each in answers} <= {204, 503}
    assert client.get("/api/v1/vaults", headers=rejected.headers).status_code == 200
    small.make_room()
    with app.app_context():
        db.engine.dispose()
        logouts = len([each for each in audit_log.events() if each.typ == "session.end"])
        assert logouts == len([each for _, each in answers if each.status_code == 204])
        assert client.post(logout, headers=rejected.headers).status_code == 204
        audit_log.sequence_all()
        found, _ = run.verify(run.Options(keys=keyring.current().audit.keys.by_id))
        db.engine.dispose()
    assert (found.exit_code, found.listed) == (0, [])


@pytest.mark.long
def test_full_sqlite_rejects_writes_and_keeps_reading(disk, tmp_path):
    small = disk(tmp_path / "home", 12)
    with (
        running(small.folder, BACKGROUND="process", **WIDE) as server,
        app_beside(server, small.folder) as app,
    ):
        owners = Owners(app, server.url, 1)
        owners.all[0].write()
        small.fill(psutil.Process(server.process.pid))

        rejected = until_rejected(owners)

        assert rejected <= {503}
        assert owners.all[0].writer.client.get("/api/v1/vaults").status_code == 200
        small.make_room()
        owners.all[0].writer.sync()
        assert owners.all[0].write()
        owners.check(app)
