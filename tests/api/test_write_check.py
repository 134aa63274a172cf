"""A database that accepts no writes: readiness reports that, and reads continue."""

import os
import secrets
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from tests.harness import app_fixtures, servers
from tests.harness.servers import run_sql
from vaultr.database import write_check
from vaultr.database.session import db
from vaultr.settings.model import Settings

READ_ONLY = f"options={quote('-c default_transaction_read_only=on')}"


@pytest.fixture
def app_at(tmp_path):
    """``app_at(url)``: return an app on this database."""
    made = []

    def make(url):
        environ = app_fixtures.environ_for(tmp_path, DATABASE_URL=url)
        made.append(app_fixtures.create_app(Settings.from_environ(environ)))
        return made[-1]

    yield make
    for app in made:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def migrated(app_at, url):
    """A database with all tables, at the newest revision."""
    app = app_at(url)
    with app.app_context():
        db.create_all()
        with db.engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
            newest = app.extensions["database.schema_versions"][-1]
            connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{newest}')")
    return url


def test_read_only_database_is_degraded_and_ready(app_at, migrated):
    response = app_at(f"{migrated}?{READ_ONLY}").test_client().get("/api/ready")

    assert response.status_code == 200
    assert response.json == {"ready": True, "degraded": ["database-writes"]}


def test_writable_database_is_not_degraded(app_at, migrated):
    response = app_at(migrated).test_client().get("/api/ready")

    assert response.json == {"ready": True, "degraded": []}


def test_write_check_leaves_no_table(app_at, migrated):
    app = app_at(migrated)
    with app.app_context():
        assert write_check.is_writable(5)

        with db.engine.connect() as connection:
            query = "SELECT count(*) FROM pg_class WHERE relname = 'vaultr_write_check'"
            assert connection.exec_driver_sql(query).scalar() == 0


def test_standby_is_detected_without_right_to_temporary_tables(app_at, migrated):
    role, parts = f"role_{secrets.token_hex(4)}", urlsplit(migrated)
    run_sql(migrated, f"CREATE ROLE {role} LOGIN PASSWORD 'for-a-test'")
    run_sql(
        migrated, f'REVOKE TEMPORARY ON DATABASE "{servers.database_name(migrated)}" FROM PUBLIC'
    )
    netloc = f"{role}:for-a-test@{parts.netloc.rpartition('@')[2]}"
    limited = urlunsplit(parts._replace(netloc=netloc))
    try:
        for url, expected in ((limited, True), (f"{limited}?{READ_ONLY}", False)):
            with app_at(url).app_context():
                assert write_check.is_writable(5) is expected
    finally:
        run_sql(migrated, f"DROP ROLE {role}")


def test_read_only_sqlite_file_is_not_writable(app_at, tmp_path):
    file = tmp_path / "vaultr.sqlite3"
    app = app_at(f"sqlite:///{file}")
    with app.app_context():
        db.create_all()
        assert write_check.is_writable(5)

        file.chmod(0o400)

        assert write_check.is_writable(5) is (os.geteuid() == 0)
