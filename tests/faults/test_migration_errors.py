"""`flask db upgrade` prints one line about what prevents a migration, in any folder."""

import contextlib
import subprocess
import sys
import threading
import time

import psycopg2
import pytest

from tests.harness import app_fixtures, servers
from tests.harness.gunicorn_server import ROOT


def upgrade(url, home, folder=ROOT, **more):
    """Migrate; return the exit code and the output."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(ROOT / "wsgi.py"), "db", "upgrade"],
        cwd=folder,
        env=app_fixtures.environ_for(home, DATABASE_URL=url, **more),
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_role_without_ownership_is_advised_to_set_migration_url(postgres_url, tmp_path):
    url = servers.fresh_database(postgres_url)
    role = f"role_{servers.database_name(url)}"
    with contextlib.closing(psycopg2.connect(url)) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        admin.commit()

    limited = url.replace("//vaultr@", f"//{role}@")
    code, output = upgrade(limited, tmp_path)

    assert code == 1
    assert "the role in DATABASE_URL may not change tables: set MIGRATION_DATABASE_URL" in output
    assert "Traceback" not in output
    assert upgrade(limited, tmp_path, MIGRATION_DATABASE_URL=url)[0] == 0
    servers.drop_database(url)


@pytest.mark.long
def test_unreachable_database_is_reported(tmp_path):
    code, output = upgrade("postgresql://x@127.0.0.1:1/x", tmp_path)

    assert code == 1
    assert "the database does not respond, or rejects this role: see `flask doctor`" in output
    assert "Traceback" not in output


@pytest.mark.long
def test_migrations_run_from_any_folder(postgres_url, tmp_path):
    url = servers.fresh_database(postgres_url)

    assert upgrade(url, tmp_path, folder=tmp_path)[0] == 0
    with contextlib.closing(psycopg2.connect(url)) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM accounts")
        assert cursor.fetchone() == (0,)
    servers.drop_database(url)


@pytest.mark.long
def test_locked_table_is_reported_as_lock(postgres_url, tmp_path):
    url = servers.fresh_database(postgres_url)
    assert upgrade(url, tmp_path)[0] == 0
    with contextlib.closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute("DELETE FROM alembic_version; LOCK TABLE alembic_version")
        began = time.monotonic()
        freed = threading.Timer(60, holder.rollback)
        freed.start()
        code, output = upgrade(url, tmp_path)
        freed.cancel()

    assert code == 1
    assert time.monotonic() - began < 40
    assert "a table was locked for 10 s by a long transaction: run this again" in output
    assert "Traceback" not in output
    servers.drop_database(url)
