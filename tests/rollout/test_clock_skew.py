"""A machine whose clock is off by a day: it works, reports it, and causes no lasting damage."""

import json
import os
import subprocess
import sys

import pytest

from tests import factories
from tests.harness import app_fixtures, audit_log, servers
from tests.harness.gunicorn_server import Running
from tests.harness.load_writers import WIDE, Http
from tests.harness.vault_writer import Writer
from vaultr.audit.verification import run
from vaultr.database.session import db
from vaultr.security import keyring

FAKE = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


class WrongClock(Running):
    """A server and commands on a machine whose clock is this far ahead (or behind)."""

    def __init__(self, home, offset, **more):
        super().__init__(home, **more)
        self._faked = self.environ | FAKE | faked(offset)

    def start(self):
        self.environ = self._faked
        return super().start()


PRINT_VARIABLES = (
    "import os, json; print(json.dumps({k: os.environ[k] for k in ('LD_PRELOAD', 'FAKETIME')}))"
)


def faked(offset):
    """Return the variables that `faketime` sets for its programs."""
    command = ["faketime", "-f", offset, sys.executable, "-c", PRINT_VARIABLES]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | FAKE, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def environ(postgres_url, redis_url, tmp_path):
    url = servers.fresh_database(postgres_url)
    yield {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": "1", **WIDE}
    servers.drop_database(url)


@pytest.fixture
def app(environ, tmp_path):
    settings = app_fixtures.environ_for(tmp_path, **environ)
    app = app_fixtures.built(settings)
    yield app
    with app.app_context():
        db.engine.dispose()


def use_server(server, app, email):
    """Log in, write and read like an owner, in this server's time."""
    with app.app_context():
        account = factories.account(email)
    anonymous = type("Anonymous", (), {"headers": {}, "account_id": account.id})
    opened = Http(server.url, anonymous).post("/api/v1/auth/login", json=factories.login(email))
    assert opened.status_code == 200, opened.data
    headers = {"Authorization": f"Bearer {opened.json['access_token']}"}
    session = type("SignedIn", (), {"headers": headers, "account_id": account.id})
    writer = Writer(Http(server.url, session)).create()
    item = writer.put()
    assert writer.client.get(f"{writer.path}/items/{item}").status_code == 200
    return session


@pytest.mark.parametrize("offset", ["+1d", "-1d"])
def test_doctor_reports_clock_off_by_a_day_and_server_works(environ, app, tmp_path, offset):
    wrong = WrongClock(tmp_path, offset, **environ)
    assert wrong.command("db", "stamp", "head").returncode == 0
    wrong.start()
    try:
        assert wrong.get("/api/ready")[0] == 200
        session = use_server(wrong, app, "ann@example.org")
        doctor = json.loads(wrong.command("doctor", "--json", "--url", wrong.url).stdout)
        clocks = [one for one in doctor["findings"] if one["topic"] == "clock"]
        assert {one["level"] for one in clocks} == {"problem"}
        assert "chrony" in clocks[0]["todo"]
        assert not [one for one in wrong.logged("request") if one["status"] >= 500]
    finally:
        wrong.stop()
    right = Running(tmp_path, **environ, BASE_URL=wrong.url)
    right.start()
    try:
        # A token from another day is invalid; after a new login all writes continue the same log.
        assert Http(right.url, session).get("/api/v1/auth/me").status_code == 401
        use_server(right, app, "bob@example.org")
        assert not [one for one in right.logged("request") if one["status"] >= 500]
    finally:
        right.stop()
    with app.app_context():
        assert len(audit_log.everything()) > 10  # every chain is intact
        audit_log.sequence_all()
        found, _ = run.verify(run.Options(keys=keyring.current().audit.keys.by_id))
    assert found.exit_code == 0, found.listed
    assert {one.check for one in found.listed} <= {"clock"}
