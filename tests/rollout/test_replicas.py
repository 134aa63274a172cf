"""Two pods with two workers each behind one edge act as one server, even if one dies."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import factories
from tests.rollout.compose_processes import Site
from tests.rollout.load import Load
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.protocol.encoding import b64
from vaultr.settings.model import Settings

# All clients have one address.
POD = {
    "WEB_CONCURRENCY": "2", "LIMIT_ANONYMOUS": "1000000/60", "LIMIT_LOGIN_ADDRESS": "1000/60",
    "PARALLEL_REQUESTS": "1000",
}  # fmt: skip
OVER_HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.1.2.3"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    folder.chmod(0o755)
    with Site(folder) as site:
        site.pods = [site.start(name, **POD) for name in ("app1", "app2")]
        site.https, _ = site.edge()
        yield site


@pytest.fixture(scope="module")
def app(site):
    """The server's own code on the same database, to insert rows."""
    app = create_app(Settings.from_environ(site.environ("app", PORT="3999")))
    yield app
    with app.app_context():
        db.engine.dispose()


def _account(app, email):
    with app.app_context():
        factories.account(email)
    return {"email": email, "device": {"id": str(uuid.uuid4()), "name": "laptop"}}


def _login(site, credentials, *, port=None, right=True):
    key = factories.auth_key(credentials["email"]) if right else b"\x01" * 32
    body = {**credentials, "auth_key": b64(key)}
    if port is None:
        return site.ask(site.https, "/api/v1/auth/login", method="POST", body=body, scheme="https")
    return site.ask(port, "/api/v1/auth/login", method="POST", body=body, headers=OVER_HTTPS)


def _bearer(answer):
    return {"Authorization": f"Bearer {json.loads(answer[1])['access_token']}", **OVER_HTTPS}


def test_login_limit_is_shared_by_all_pods(site, app):
    credentials = _account(app, "limited@example.org")

    wrong = [_login(site, credentials, port=site.pods[n % 2], right=False)[0] for n in range(5)]
    then = [_login(site, credentials, port=port, right=False)[0] for port in site.pods]

    assert wrong == [401] * 5
    assert then == [429] * 2


def test_forty_concurrent_guesses_are_limited_to_five_attempts(site, app):
    credentials = _account(app, "guessed@example.org")
    with ThreadPoolExecutor(40) as threads:
        ports = site.pods * 20
        codes = list(
            threads.map(lambda port: _login(site, credentials, port=port, right=False)[0], ports)
        )

    assert codes.count(401) == 5
    assert {*codes} <= {401, 429, 503}


def test_session_starts_and_ends_on_all_pods(site, app):
    headers = _bearer(_login(site, _account(app, "session@example.org")))
    first, second = site.pods
    before = [site.ask(port, "/api/v1/auth/me", headers=headers)[0] for port in site.pods * 3]

    assert site.ask(first, "/api/v1/auth/logout", method="POST", headers=headers)[0] == 204
    after = [site.ask(port, "/api/v1/auth/me", headers=headers)[0] for port in [second, first] * 3]

    assert before == [200] * 6
    assert after == [401] * 6


def test_idempotent_request_to_both_pods_runs_once(site, app):
    headers = _bearer(_login(site, _account(app, "twins@example.org")))
    headers["Idempotency-Key"] = str(uuid.uuid4())
    body = {
        "id": str(uuid.uuid4()),
        "sealed_key": b64(factories.sealed(96)),
        "overview": b64(factories.sealed(60)),
    }

    def create(port):
        return site.ask(port, "/api/v1/vaults", method="POST", body=body, headers=headers)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(create, site.pods * 4))

    assert {status for status, _, _ in answers} == {201}
    assert len({body for _, body, _ in answers}) == 1
    replays = [answer for answer in answers if answer[2].get("Idempotency-Replayed") == "true"]
    assert len(replays) == 7


@pytest.mark.parametrize("victim", ["app1", "app2"])
def test_reads_succeed_while_a_pod_is_killed(site, victim):
    with Load(site.https, 8) as load:
        time.sleep(0.5)
        site.kill(victim)
        time.sleep(1)
        site.start(victim, **POD)
        time.sleep(0.5)

    assert load.failed == []
    assert load.responses > 50


def test_pods_without_redis_serve_and_report_degraded(site, app):
    credentials = _account(app, "away@example.org")
    site.redis.freeze()
    try:
        assert _login(site, credentials)[0] == 200
        wrong = [
            _login(
                site, {**credentials, "device": {"id": str(uuid.uuid4()), "name": "x"}}, right=False
            )[0]
            for _ in range(7)
        ]
        states = [site.ask(port, "/api/ready") for port in site.pods]
    finally:
        site.redis.thaw()

    assert wrong == [401] * 5 + [429] * 2
    for status, body, _ in states:
        assert (status, json.loads(body)) == (200, {"ready": True, "degraded": ["redis"]})
