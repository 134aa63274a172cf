"""Workers are killed during writes: no acknowledged write is lost, and state matches audit."""

import contextlib
import random
import time

import psutil
import pytest

from tests.harness import app_fixtures
from tests.harness.gunicorn_server import running
from tests.harness.load_writers import WIDE, Owners
from vaultr.database.session import db


@pytest.fixture
def server(url, redis_url, tmp_path):
    more = {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": "2", **WIDE}
    more |= {"LOG_LEVEL": "WARNING", "BACKGROUND": "process"}
    with running(tmp_path, **more) as running_one:
        yield running_one


@pytest.fixture
def app(url, redis_url, tmp_path, server):
    """The same server again in this process, to read its database."""
    app = app_fixtures.create_app(
        app_fixtures.Settings.from_environ(
            app_fixtures.environ_for(tmp_path, DATABASE_URL=url, REDIS_URL=redis_url)
            | {"BASE_URL": server.url}
        )
    )
    yield app
    with app.app_context():
        db.engine.dispose()


def kill_one(master, chance):
    """Kill one of the live workers, unless it was just replaced."""
    while True:
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            chance.choice(master.children()).kill()
            return


def test_killed_worker_loses_no_acknowledged_write(server, app, count):
    master = psutil.Process(server.process.pid)
    kills, chance = count(2, many=200), random.Random(4711)
    with Owners(app, server.url, 3) as owners:
        # Some kills happen while no request waits; not enough for all to do so.
        while kills > 0 or (kills > -100 and not any(one.broken for one in owners.all)):
            owners.wait_for_more(6)
            time.sleep(chance.random() / 20)
            kill_one(master, chance)
            kills -= 1
        owners.wait_for_more(6)

    owners.check(app)
    assert server.process.poll() is None
    assert sum(one.broken for one in owners.all) > 0
