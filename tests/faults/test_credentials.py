"""New credentials with crashes and lost responses: exactly one of old and new works."""

import contextlib
import os
import random
import signal
import threading
import time
from http.client import HTTPException
from uuid import uuid4

import psutil
import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import app_fixtures, servers
from tests.harness.gunicorn_server import running
from tests.harness.key_replacement import new_keys, rewrapped
from tests.harness.process_pool import Remote
from tests.harness.threads import at_once
from vaultr.database.session import db
from vaultr.protocol.encoding import unb64
from vaultr.vault.models import VaultKey

AUTH = "/api/v1/auth"
CREDENTIALS, LOGIN = f"{AUTH}/credentials", f"{AUTH}/login"
ANN = "ann@example.org"
PATIENCE_SECONDS = 30
LIMITS = {
    "LIMIT_LOGIN_ACCOUNT": "100000/900",
    "LIMIT_LOGIN_ADDRESS": "100000/900",
    "LIMIT_MAIL": "100000/3600",
    "LIMIT_ANONYMOUS": "100000/60",
}


class Owner:
    """Ann on a running server: what she sent with each of her keys, and which one works now."""

    def __init__(self, server):
        self.url, self.server = server.url, server
        self.app = app_fixtures.built(server.environ)
        with self.app.app_context():
            account = factories.account(ANN)
            self.id, self.device = account.id, uuid4()
            factories.vault(ANN)
            db.engine.dispose()
        self.key, self.epoch = factories.auth_key(ANN), 1
        self.sent = {}

    def login(self, key):
        body = factories.login(ANN, key=key, device_id=self.device)
        return Remote(self.url, "x", self.id).post(LOGIN, json=body)

    def signed_in(self):
        return Remote(self.url, self.login(self.key).json["access_token"], self.id)

    def next_keys(self, *, rewrap):
        """Return a key, and the body that makes it valid."""
        key = os.urandom(32)
        body = new_keys(key, epoch=self.epoch + 1, revision=self.epoch + 1)
        if rewrap:
            body["rewrap"] = rewrapped(self.app, self.id)
        with self.app.app_context():
            db.engine.dispose()
        self.sent[key] = body
        return key, body

    def settle(self, new):
        """Find out which key is valid: exactly one, and all stored values match it."""
        keys = [self.key, new]
        answers = [self.login(key) for key in keys]
        assert sorted(one.status_code for one in answers) == [200, 401]
        opened = 0 if answers[0].status_code == 200 else 1
        self.check_goes_with(keys[opened], answers[opened].json)
        self.epoch += opened
        self.key = keys[opened]
        return opened

    def check_goes_with(self, key, answer):
        sent, stored = self.sent.get(key), answer["key_set"]
        assert stored["account_key"]["epoch"] == (self.epoch if key == self.key else self.epoch + 1)
        assert stored["profile"]["revision"] == stored["account_key"]["epoch"]
        if sent is None:
            return
        assert stored["account_key"] == sent["account_key"]
        assert stored["profile"] == sent["profile"]
        if "rewrap" in sent:
            assert stored["identity"] == sent["rewrap"]["identity"]
            with self.app.app_context():
                wraps = db.session.scalars(sa.select(VaultKey.sealed_key)).all()
                db.session.rollback()
                db.engine.dispose()
            assert wraps == [unb64(one["sealed_key"]) for one in sent["rewrap"]["vaults"]]


@pytest.fixture(
    scope="module", params=["postgresql", pytest.param("sqlite", marks=pytest.mark.long)]
)
def owner(request, tmp_path_factory):
    home, more = tmp_path_factory.mktemp("home"), dict(LIMITS)
    if request.param == "postgresql":
        url = servers.fresh_database(request.getfixturevalue("postgres_url"))
        more |= {"DATABASE_URL": url, "REDIS_URL": request.getfixturevalue("redis_url")}
        more |= {"WEB_CONCURRENCY": "4"}
    with running(home, **more) as server:
        yield Owner(server)


def kill_all_workers(server):
    for worker in psutil.Process(server.process.pid).children():
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
    until = time.monotonic() + PATIENCE_SECONDS
    while not server.answers():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_killed_server_leaves_exactly_one_valid_key(owner, count):
    opened = []
    for number in range(count(2, many=200)):
        client = owner.signed_in()
        key, body = owner.next_keys(rewrap=number % 2 == 0)

        def change(client=client, body=body):
            with contextlib.suppress(OSError, HTTPException):  # it was killed
                client.put(CREDENTIALS, json=body)

        sender = threading.Thread(target=change)
        sender.start()
        time.sleep(random.uniform(0, 0.15))
        kill_all_workers(owner.server)
        sender.join(PATIENCE_SECONDS)

        opened.append(owner.settle(key))
    assert len(opened) == count(2, many=200)


def test_lost_response_leaves_exactly_one_valid_key(owner, count):
    for number in range(count(2, many=200)):
        client = owner.signed_in()
        key, body = owner.next_keys(rewrap=number % 2 == 0)

        client.lose("PUT", CREDENTIALS, json=body, headers={})
        again = client.put(CREDENTIALS, json=body)  # which waits for the first, or comes before it

        assert again.status_code in {204, 401, 412}
        assert owner.settle(key) == 1


def test_other_sessions_end_on_every_worker_immediately(owner):
    client, others = owner.signed_in(), [owner.signed_in() for _ in range(4)]
    assert {one.status_code for one in requested_everywhere(others)} == {200}
    key, body = owner.next_keys(rewrap=False)

    assert client.put(CREDENTIALS, json=body).status_code == 204

    assert {one.status_code for one in requested_everywhere(others)} == {401}
    assert client.get(f"{AUTH}/me").status_code == 401
    assert owner.settle(key) == 1


def requested_everywhere(clients):
    """Send enough parallel requests that every worker handles every session."""
    return [
        answer
        for client in clients
        for answer in at_once(lambda _, client=client: client.get(f"{AUTH}/me"), 12)
    ]
