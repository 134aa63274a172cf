"""Fixtures for the app: on PostgreSQL with Redis, empty for each test.

Tests marked `both_databases` also run on SQLite without Redis; with ``--long`` all tests do.
"""

import pytest
import redis
import uuid6

from tests import factories
from tests.harness import empty_tables, open_cursors, servers
from vaultr.api import kill_switches
from vaultr.app import create_app
from vaultr.audit import (
    checkpoints,
    denied_requests,
    self_audit,
    sequencer,
    state_file,
    stream_position,
    transaction_hooks,
)
from vaultr.database.session import clear_fact_cache, db
from vaultr.ratelimit import limiter, limits
from vaultr.settings.loader import generate_keys
from vaultr.settings.model import Settings
from vaultr.settings.types import Rate

KEYS = generate_keys("test")


def environ_for(home, **more):
    """Return the environment of a development server under ``home``."""
    return {
        **KEYS,
        "VAULTR_ENV": "development",
        "VAULTR_HOME": str(home),
        "BASE_URL": "http://localhost",
        "LOG_LEVEL": "WARNING",
        "LOGIN_WAIT_SECONDS": "60",  # a hash may be slow while other tests run
        "PARALLEL_REQUESTS": "1000",  # clients of a test share an address or an account
        **more,
    }


def built(environ):
    """Return an app on a migrated database."""
    app = create_app(Settings.from_environ(environ))
    with app.app_context():
        db.create_all()
    return app


def wait_for_redis(app):
    """Make an app wait for Redis as long as a busy machine needs, instead of 0.1 s.

    Otherwise the app would start counting in memory from zero: right for a server, but wrong for a
    test that expects exact counts.
    """
    with app.app_context():
        stored = limiter.current().redis.connection_pool.connection_kwargs
    stored.update(socket_timeout=30.0, socket_connect_timeout=30.0)


def empty(app):
    """Delete all rows and counters that a test created."""
    with app.app_context():
        empty_tables.empty(db.engine, [table.name for table in reversed(db.metadata.sorted_tables)])
        db.session.remove()
        clear_fact_cache()
        transaction_hooks.pool().forget()  # its chains were deleted with the rows
        denied_requests.current().forget()
        checkpoints.forget()
        sequencer.forget()
        self_audit.forget()
        state_file.path().unlink(missing_ok=True)
        stream_position.path().unlink(missing_ok=True)
        kill_switches.forget()
        uuid6._last_v7_timestamp = None  # ids only grow, also after a test that moved the clock
        guard = limiter.current()
        guard.clear_memory()
        limits.forget_full()
        if guard.redis is not None:
            guard.redis.flushdb()


@pytest.fixture(scope="session")
def postgres_app(postgres_url, redis_url, tmp_path_factory):
    url = servers.fresh_database(postgres_url)
    home = tmp_path_factory.mktemp("home")
    app = built(environ_for(home, DATABASE_URL=url, REDIS_URL=redis_url, WEB_CONCURRENCY="1"))
    wait_for_redis(app)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_app(tmp_path_factory):
    app = built(environ_for(tmp_path_factory.mktemp("home")))
    with app.app_context():
        app.left_open = open_cursors.watched(db.engine)
    return app


@pytest.fixture(params=["postgresql", "sqlite"])
def app(request):
    """The app on each of the two databases, empty."""
    name = "postgres_app" if request.param == "postgresql" else "sqlite_app"
    app = request.getfixturevalue(name)
    empty(app)
    yield app
    left_open = getattr(app, "left_open", [])
    reported = [*left_open]
    left_open.clear()
    assert reported == []


@pytest.fixture
def client(app):
    """An anonymous client."""
    return app.test_client()


def signed_in(app, email):
    """Return a client whose requests carry the token of a session of an account."""
    with app.app_context():
        session = factories.session(factories.owner(email))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {session.access_token}"
    client.session, client.account_id = session, session.account_id
    return client


@pytest.fixture
def as_ann(app):
    return signed_in(app, "ann@example.org")


@pytest.fixture
def as_bob(app):
    return signed_in(app, "bob@example.org")


@pytest.fixture
def set_to(monkeypatch):
    """``set_to(app, limit_mail="5/3600")``: change settings of a running app."""

    def change(app, **settings):
        new = {
            name: Rate.parse(value) if name.startswith("limit") else value
            for name, value in settings.items()
        }
        known = app.config["SETTINGS"]
        monkeypatch.setitem(app.config, "SETTINGS", known.model_copy(update=new))

    return change


@pytest.fixture
def flushed_redis(redis_url):
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushdb()
        yield connection
