"""A real server does not reveal whether an address has an account, by content or by time.

For 200 interleaved attempts, a classifier by time has an area below 0.65 (with ``--long`` for 1,000
attempts below 0.55); an area of 0.5 reveals nothing. Bodies, statuses and headers are the same in
every pair.
"""

import gc
import http.client
import itertools
import json
import secrets
import time

import pytest

from tests import factories
from tests.harness import servers
from tests.harness.gunicorn_server import running
from tests.harness.timing_leaks import distinguishable, interleaved, telling
from vaultr.app import create_app
from vaultr.auth.models import RecoveryKey
from vaultr.database.session import db, transaction
from vaultr.settings.model import Settings

ADDRESSES = 25  # attempts of each kind, so that no counter gets near a lock
UNLIMITED = (
    "LIMIT_LOGIN_ACCOUNT", "LIMIT_LOGIN_ADDRESS", "LIMIT_SIGNUP", "LIMIT_MAIL", "LIMIT_ANONYMOUS",
)  # fmt: skip
WRONG = b"w" * 32
OF_THE_REQUEST = {"x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"}


@pytest.fixture(scope="module")
def server(tmp_path_factory, postgres_url, redis_url):
    """A server as in production: a separate process sends emails."""
    url, home = servers.fresh_database(postgres_url), tmp_path_factory.mktemp("enumeration")
    more = dict.fromkeys(UNLIMITED, "1000000/86400")
    more |= {"DATABASE_URL": url, "REDIS_URL": redis_url, "BACKGROUND": "process"}
    with running(home, WEB_CONCURRENCY="1", LOG_LEVEL="WARNING", **more) as server:
        yield server
    servers.drop_database(url)


@pytest.fixture(scope="module")
def known(server):
    """Addresses with an account and a recovery key."""
    app = create_app(Settings.from_environ(server.environ))
    addresses = [f"{secrets.token_hex(6)}@example.org" for _ in range(ADDRESSES)]
    with app.app_context():
        for address in addresses:
            add_recovery_key(factories.account(address))
        db.engine.dispose()
    return addresses


def add_recovery_key(account):
    row = RecoveryKey(
        account_id=account.id,
        verifier=secrets.token_bytes(32),
        sealed=factories.sealed(32),
        epoch=1,
        created_at=account.created_at,
        audit_event_id=account.audit_event_id,
    )
    with transaction() as work:
        work.add(row)


@pytest.fixture
def unknown():
    return [f"{secrets.token_hex(6)}@example.org" for _ in range(ADDRESSES)]


@pytest.fixture
def connection(server):
    """A persistent connection, as an attacker who measures would use."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    yield connection
    connection.close()


@pytest.fixture
def calm():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def ask(connection, route, body):
    """Return the duration of a response, and everything that is visible in it."""
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    began = time.perf_counter()
    connection.request("POST", f"/api/v1/auth/{route}", data, headers)
    answer = connection.getresponse()
    text = answer.read()
    took = time.perf_counter() - began
    return took, seen(answer, text)


def seen(answer, text):
    """Return status, headers and body, without values that are random in each request."""
    headers = sorted((name.lower(), value) for name, value in answer.getheaders())
    headers = [(n, "" if n in OF_THE_REQUEST else value) for n, value in headers]
    return answer.status, headers, formed(json.loads(text) if text else None)


def formed(value, name=""):
    """Return the form of a body: ids and salts by their length, everything else unchanged."""
    if isinstance(value, dict):
        return {each: formed(inner, each) for each, inner in value.items()}
    if name in ("account_id", "salt", "request_id"):
        return len(value)
    return "a released cost" if name == "m" else value


BODIES = {
    "prelogin": lambda address: {"email": address},
    "login": lambda address: factories.login(address, key=WRONG),
    "signup": lambda address: factories.signup(address),
    "recover": lambda address: {"email": address},
}


def attempts_of(connection, route, bodies, ones, others, number):
    """Send ``number`` pairs of requests, alternating the kinds; return the pairs of times."""
    turns = number // 2
    subjects = [itertools.islice(itertools.cycle(kind), turns) for kind in (ones, others)]
    pairs = interleaved(lambda one: ask(connection, route, bodies(one)), *map(list, subjects))
    for (_, one), (_, other) in pairs:
        assert one == other
    return [(one, other) for (one, _), (other, _) in pairs]


@pytest.fixture
def bound(count):
    """The number of attempts, and the area that must not be reached."""
    number = count(200, many=1000)
    return number, 0.65 if number == 200 else 0.55


@pytest.mark.parametrize("route", BODIES)
@pytest.mark.matrix(2)
def test_known_and_unknown_addresses_are_indistinguishable(
    connection, known, unknown, calm, bound, route
):
    number, limit = bound
    # fills plans, caches and pools
    attempts_of(connection, route, BODIES[route], known, unknown, 20)

    areas = distinguishable(
        lambda: telling(attempts_of(connection, route, BODIES[route], known, unknown, number)),
        limit,
    )

    assert areas == {}


def test_address_with_and_without_pending_signup_are_indistinguishable(
    connection, unknown, calm, bound
):
    number, limit = bound
    waiting = [factories.signup(f"{secrets.token_hex(6)}@example.org") for _ in range(ADDRESSES)]
    for body in waiting:
        assert ask(connection, "signup", body)[1][0] == 202
    ones = [{name: body[name] for name in ("email", "account_id")} for body in waiting]
    others = [{**one, "email": address} for one, address in zip(ones, unknown, strict=True)]
    attempts_of(connection, "resend-verification", dict, ones, others, 20)

    areas = distinguishable(
        lambda: telling(attempts_of(connection, "resend-verification", dict, ones, others, number)),
        limit,
    )

    assert areas == {}
