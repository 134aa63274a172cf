"""PostgreSQL restarted, frozen, stopped, overloaded, read-only: errors in time, full recovery."""

import contextlib
import signal
import time

import psycopg2
import pytest
import sqlalchemy as sa

from tests.harness import sample_routes, servers
from tests.harness.threads import at_once
from tests.harness.timing import quickest, seconds
from vaultr.database import schema_version
from vaultr.database.session import AUTOCOMMIT, db, one_statement, transaction
from vaultr.health import readiness

ASKS = "/api/v1/small/asks"


@pytest.fixture(scope="module")
def shared_postgres():
    with servers.postgres(own=True) as server:
        yield server


@pytest.fixture
def own_postgres(shared_postgres):
    """The PostgreSQL of this module, running again after each test."""
    yield shared_postgres
    shared_postgres.stop(signal.SIGQUIT)
    shared_postgres.start()


@pytest.fixture
def url(own_postgres):
    return servers.fresh_database(own_postgres.url)


@pytest.fixture
def server(url, tmp_path):
    with sample_routes.server(tmp_path, DATABASE_URL=url) as app:
        yield app


@pytest.fixture
def client(server):
    return server.test_client()


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def open_several(server):
    """Fill both pools with used connections."""

    def hold():
        with (
            server.app_context(),
            db.engine.connect() as one,
            AUTOCOMMIT.get(server).connect() as another,
        ):
            for connection in (one, another):
                connection.execute(sa.text("SELECT pg_sleep(0.2)"))

    at_once(lambda _: hold(), 4)


def test_no_request_fails_after_database_restart(server, client, own_postgres):
    open_several(server)
    own_postgres.kill()
    own_postgres.start()

    answers = at_once(lambda _: server.test_client().get(ASKS).status_code, 4)

    assert answers == [200] * 4
    with server.app_context(), one_statement() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


def test_frozen_database_returns_unavailable_within_seven_seconds(server, client, own_postgres):
    def ask():
        response = client.get(ASKS)
        assert (response.status_code, slug(response)) == (503, "unavailable")
        assert response.headers["Retry-After"] == "1"

    open_several(server)
    own_postgres.freeze()
    took = [seconds(ask)]
    # All old connections are closed by now, so a second try needs new ones.
    while took[-1] >= 7 and len(took) < 3:
        own_postgres.thaw()
        open_several(server)
        own_postgres.freeze()
        took.append(seconds(ask))

    assert min(took) < 7
    own_postgres.thaw()
    assert [client.get(ASKS).status_code for _ in range(5)] == [200] * 5
    with server.app_context():
        assert db.engine.pool.checkedout() == 0


@pytest.mark.long
def test_frozen_database_before_first_connection_returns_unavailable_in_time(client, own_postgres):
    own_postgres.freeze()

    def ask():
        response = client.get(ASKS)
        assert (response.status_code, slug(response)) == (503, "unavailable")

    assert quickest(ask, within=7, rounds=3) < 7
    own_postgres.thaw()
    assert client.get(ASKS).status_code == 200


@pytest.mark.long
def test_probes_respond_while_database_is_frozen(time_limit, server, client, own_postgres):
    assert client.get(ASKS).status_code == 200
    own_postgres.freeze()

    def healthy():
        health = client.get("/api/health")
        assert (health.status_code, health.data) == (200, b'{"status":"healthy"}')

    def not_ready():
        server.extensions["health.readiness"].at = 0.0
        ready = client.get("/api/ready")
        assert ready.status_code == 503
        assert ready.json["failed"] == ["database"]

    assert quickest(healthy, within=time_limit(0.1)) < time_limit(0.1)
    assert quickest(not_ready, within=time_limit(1.5)) < time_limit(1.5)
    own_postgres.thaw()


@pytest.mark.long
def test_unreachable_database_returns_unavailable_immediately(time_limit, client, own_postgres):
    assert client.get(ASKS).status_code == 200
    own_postgres.kill()

    def ask():
        response = client.get(ASKS)
        assert (response.status_code, slug(response)) == (503, "unavailable")

    assert quickest(ask, within=time_limit(1)) < time_limit(1)
    own_postgres.start()
    assert client.get(ASKS).status_code == 200


def test_outage_of_all_dependencies_is_named_by_readiness(own_postgres, own_redis, url, tmp_path):
    more = {"DATABASE_URL": url, "REDIS_URL": own_redis.url, "READY_REDIS_GRACE": "0"}
    with sample_routes.server(tmp_path, **more) as app:
        client = app.test_client()
        own_postgres.kill()
        own_redis.kill()
        time.sleep(0.01)

        assert client.get("/api/ready").json["failed"][0] == "database"
        app.extensions["health.readiness"].at = 0.0
        assert client.get("/api/ready").json == {
            "ready": False,
            "error": "Dependencies unavailable",
            "failed": ["database", "redis"],
        }
        bearer = {"Authorization": "Bearer a.b.c"}
        assert client.get("/api/health", headers=bearer).data == b'{"status":"healthy"}'
        assert client.get("/api/v1/auth/me").status_code == 401


@pytest.mark.long
def test_readiness_is_checked_once_a_second(server, client, monkeypatch):
    requested = []
    monkeypatch.setattr(readiness, "_database", lambda: requested.append(1) or ([], ()))
    second, stored = readiness._CACHE_SECONDS, server.extensions["health.readiness"]
    monkeypatch.setattr(readiness, "_CACHE_SECONDS", 600.0)  # no test is that slow

    answers = at_once(lambda _: server.test_client().get("/api/ready").data, 5)

    assert answers == [b'{"ready":true,"degraded":[]}'] * 5
    assert len(requested) == 1
    assert second == 1.0
    stored.at -= 600.05
    client.get("/api/ready")
    assert len(requested) == 2


def test_exhausted_pool_returns_busy(time_limit, own_postgres, url, tmp_path):
    with sample_routes.server(tmp_path, DATABASE_URL=f"{url}?pool_size=1&max_overflow=1") as app:
        client = app.test_client()

        def ask():
            response = client.get(ASKS)
            assert (response.status_code, slug(response)) == (503, "busy")
            assert response.headers["Retry-After"] == "1"

        with app.app_context(), db.engine.connect(), db.engine.connect():
            assert quickest(ask, within=time_limit(3)) < time_limit(3)
        assert client.get(ASKS).status_code == 200


@pytest.mark.long
def test_full_pool_leaves_pod_ready(own_postgres, url, tmp_path):
    narrow = f"{url}?pool_size=1&max_overflow=0"
    with sample_routes.server(tmp_path, DATABASE_URL=narrow) as app, app.app_context():
        with db.engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num text)"))
            newest = {"newest": schema_version.known()[-1]}
            connection.execute(sa.text("INSERT INTO alembic_version VALUES (:newest)"), newest)
        with db.engine.connect():
            assert app.test_client().get("/api/ready").status_code == 200


def lose_the_connection(url):
    with transaction() as session:
        pid = session.scalar(sa.text("SELECT pg_backend_pid()"))
        with contextlib.closing(psycopg2.connect(url)) as other:
            other.cursor().execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
        session.execute(sa.text("SELECT 1"))


def test_connection_lost_in_transaction_affects_only_that_one(server, url):
    with server.app_context():
        with pytest.raises(sa.exc.OperationalError):
            lose_the_connection(url)

        with transaction() as session:
            assert session.scalar(sa.text("SELECT 1")) == 1
        assert db.engine.pool.checkedout() == 0


def test_read_only_database_returns_unavailable(server, client, url):
    with contextlib.closing(psycopg2.connect(url)) as admin:
        admin.autocommit = True
        name = servers.database_name(url)
        admin.cursor().execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with server.app_context():
        db.engine.dispose()

    response = client.get("/api/v1/small/fact/x")

    assert (response.status_code, slug(response)) == (503, "unavailable")
    assert client.get(ASKS).status_code == 200
