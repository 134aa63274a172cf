"""Probes: exact bodies, and the schema revisions on which this code runs."""

import pytest
import sqlalchemy as sa

from vaultr.database import schema_version
from vaultr.database.session import db
from vaultr.health import readiness

pytestmark = pytest.mark.both_databases
READY = b'{"ready":true,"degraded":[]}'
NOT_READY = b'{"ready":false,"error":"Dependencies unavailable","failed":["schema"]}'


@pytest.fixture
def migrated(app):
    """``migrated("0001")``: set the database's revision, and the oldest code that it allows."""

    def say(revision, needs=None):
        with app.app_context(), db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num TEXT)"))
            if revision is not None:
                insert = sa.text("INSERT INTO alembic_version VALUES (:revision)")
                connection.execute(insert, {"revision": revision})
            if needs is not None:
                values = {"name": schema_version.NEEDS, "value": needs.encode()}
                insert = sa.text("INSERT INTO facts (name, value) VALUES (:name, :value)")
                connection.execute(insert, values)
        app.extensions["health.readiness"].at = 0.0

    yield say
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS alembic_version"))
    app.extensions["health.readiness"].at = 0.0


def newest(app):
    return app.extensions["database.schema_versions"][-1]


def later(app):
    return f"{int(newest(app)) + 1:04}"


def test_health_returns_constant_body(client):
    response = client.get("/api/health")

    assert (response.status_code, response.data) == (200, b'{"status":"healthy"}')
    assert response.mimetype == "application/json"


def test_server_on_newest_known_revision_is_ready(app, client, migrated):
    migrated(newest(app))
    response = client.get("/api/ready")

    assert (response.status_code, response.data) == (200, READY)


def test_newer_schema_stays_ready_for_old_code(app, client, migrated):
    migrated(later(app), needs=f"{later(app)} 0001")

    assert client.get("/api/ready").data == READY


def test_schema_that_requires_newer_code_is_not_ready(app, client, migrated):
    migrated(later(app), needs=f"{later(app)} {later(app)}")

    assert client.get("/api/ready").data == NOT_READY


def test_unknown_schema_number_is_not_treated_as_newer(app, client, migrated):
    migrated("9999", needs=f"{newest(app)} 0001")

    assert client.get("/api/ready").data == NOT_READY


@pytest.mark.parametrize("revision", ["0000", "deadbeef0123", "0001", None])
def test_server_on_older_or_missing_revision_is_not_ready(client, migrated, revision):
    migrated(revision)
    response = client.get("/api/ready")

    assert (response.status_code, response.data) == (503, NOT_READY)
    assert response.headers["Retry-After"] == "1"


def test_server_without_tables_is_not_ready(app, client):
    app.extensions["health.readiness"].at = 0.0

    assert client.get("/api/ready").data == NOT_READY


def test_server_without_keys_is_not_ready(app, client, migrated, monkeypatch):
    migrated(newest(app))
    monkeypatch.delitem(app.extensions, "security.keyring")

    assert client.get("/api/ready").json["failed"] == ["keys"]


def test_draining_server_is_not_ready_despite_cached_result(app, client, migrated, monkeypatch):
    migrated(newest(app))
    assert client.get("/api/ready").status_code == 200

    monkeypatch.setattr(readiness.draining, "started", lambda: True)

    assert client.get("/api/ready").json["failed"] == ["draining"]
    assert client.get("/api/health").status_code == 200
