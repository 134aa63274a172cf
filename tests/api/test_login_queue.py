import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import factories
from tests.harness.sql_recorder import collected
from tests.harness.timing import until
from vaultr.database.session import AUTOCOMMIT, db
from vaultr.errors import Busy

pytestmark = pytest.mark.both_databases
LOGIN = "/api/v1/auth/login"


@pytest.fixture
def ann(app):
    with app.app_context():
        return factories.account("ann@example.org")


@contextlib.contextmanager
def taken(app, places):
    """Occupy slots and then places of the hash queue, until the block ends."""
    gate, release = app.extensions["auth.hash_gate"], threading.Event()

    def take():
        with contextlib.suppress(Busy):
            gate.run(release.wait)

    threads = [threading.Thread(target=take) for _ in range(places)]
    for thread in threads:
        thread.start()
    until(lambda: gate._inside >= places)
    try:
        yield
    finally:
        release.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("route", ["login", "signup"])
def test_full_queue_returns_busy_immediately(app, client, ann, route):
    body = factories.login() if route == "login" else factories.signup()

    with taken(app, os.cpu_count() + app.config["SETTINGS"].max_waiting_logins):
        response = client.post(f"/api/v1/auth/{route}", json=body)

    assert response.status_code == 503
    assert response.json["type"] == "urn:vaultr:problem:busy"
    assert int(response.headers["Retry-After"]) >= 1


def test_attempt_rejected_by_full_queue_is_refunded(app, client, ann):
    with taken(app, os.cpu_count() + app.config["SETTINGS"].max_waiting_logins):
        statuses = [client.post(LOGIN, json=factories.login()).status_code for _ in range(8)]

    assert statuses == [503] * 8
    assert client.post(LOGIN, json=factories.login()).status_code == 200


def test_waiting_login_holds_no_database_connection(app, ann):
    def login():
        return app.test_client().post(LOGIN, json=factories.login()).status_code

    with app.app_context():
        engines = (db.engine, AUTOCOMMIT.get(app))
    gate = app.extensions["auth.hash_gate"]
    with ThreadPoolExecutor(1) as pool:
        with taken(app, os.cpu_count()):
            answer = pool.submit(login)
            until(lambda: gate._inside > os.cpu_count())
            held = [engine.pool.checkedout() for engine in engines]

        assert answer.result() == 200
    assert held == [0, 0]


def test_other_requests_are_served_while_logins_wait(app, as_ann):
    with taken(app, os.cpu_count() + app.config["SETTINGS"].max_waiting_logins):
        assert as_ann.get("/api/v1/auth/me").status_code == 200


@pytest.mark.parametrize("email", ["ann@example.org", "nobody@example.org"])
def test_login_with_full_queue_writes_nothing(app, client, ann, email):
    client.post(LOGIN, json=factories.login(email, key=b"w" * 32))
    places = os.cpu_count() + app.config["SETTINGS"].max_waiting_logins
    with taken(app, places), collected(app) as ran:
        answer = client.post(LOGIN, json=factories.login(email))

    assert answer.status_code == 503
    assert len(ran) == 1


def test_third_login_of_address_waits_without_delaying_another_address(app, ann):
    gate, release = app.extensions["auth.hash_gate"], threading.Event()
    own = [
        threading.Thread(target=gate.run, args=(release.wait, {"a:127.0.0.1": 2})) for _ in range(2)
    ]
    for thread in own:
        thread.start()
    until(lambda: gate._inside == 2)

    def login(address):
        more = {"environ_overrides": {"REMOTE_ADDR": address}}
        return app.test_client().post(LOGIN, json=factories.login(), **more).status_code

    with ThreadPoolExecutor(2) as pool:
        same = pool.submit(login, "127.0.0.1")
        until(lambda: gate._beside == 1)
        other = pool.submit(login, "192.0.2.1")
        until(lambda: gate._inside == 3)
        release.set()

        assert [same.result(), other.result()] == [200, 200]
    for thread in own:
        thread.join()
