"""Redis stopped, frozen, full, read-only or without access: counting continues, no 500."""

import contextlib
import json
import logging
import statistics
import time
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from tests.harness import sample_routes
from tests.harness.metric_values import number
from tests.harness.timing import until
from vaultr.ratelimit import limiter

WANTED = "/api/v1/small/wanted"
ADDRESS = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.1"}}


@pytest.fixture
def server(own_redis, tmp_path, request, monkeypatch):
    """Two workers, each of which allows half of a limit when Redis is unavailable. Only a frozen
    Redis times out, however busy the machine is.
    """
    if "frozen" not in request.node.name:
        monkeypatch.setattr(limiter, "TIMEOUT_SECONDS", 30.0)
    limits = {"LIMIT_ANONYMOUS": "8/3600", "LIMIT_SIGNUP": "4/3600", "LOG_LEVEL": "INFO"}
    with sample_routes.server(
        tmp_path, REDIS_URL=own_redis.url, WEB_CONCURRENCY="2", **limits
    ) as app:
        yield app


@pytest.fixture
def client(server):
    return server.test_client()


@pytest.fixture
def admin(own_redis):
    with redis.Redis.from_url(own_redis.url, socket_timeout=2) as connection:
        yield connection


def timed(client, address="192.0.2.1"):
    began = time.monotonic()
    response = client.get(WANTED, environ_overrides={"REMOTE_ADDR": address})
    return response.status_code, time.monotonic() - began


def statuses(client, times, path=WANTED):
    return [client.get(path, **ADDRESS).status_code for _ in range(times)]


def away(server):
    with server.app_context():
        return limiter.current().away_since is not None


def degraded(server, client):
    """Request readiness, more than a second after the last request."""
    server.extensions["health.readiness"].at = 0.0
    answer = client.get("/api/ready").json
    # The database of these tests has no migrations; only Redis is checked.
    return answer.get("degraded", answer.get("failed"))


def wait_until_back(server):
    """Wait without sending requests to the server, which notices by itself."""
    until(lambda: not away(server))


def events(caplog):
    return [record.msg for record in caplog.records if record.msg.startswith("redis.")]


def test_without_redis_worker_counts_its_share_and_logs_it(server, client, own_redis, caplog):
    assert statuses(client, 2) == [200, 200]
    own_redis.kill()

    with caplog.at_level(logging.INFO, "vaultr"):
        assert statuses(client, 6) == [200] * 4 + [429] * 2
        assert statuses(client, 3, "/api/v1/small/limited") == [429] * 3

    assert events(caplog) == ["redis.away"]


def test_route_limit_works_without_redis(server, client, own_redis):
    own_redis.kill()

    def ask():
        return client.get("/api/v1/small/limited", **ADDRESS)

    assert [ask().status_code for _ in range(3)] == [204, 204, 429]
    assert int(ask().headers["Retry-After"]) > 0


@pytest.mark.long
def test_frozen_redis_delays_one_request_by_200_ms(server, client, own_redis):
    first, others = [], []
    # Repeat if it took longer: delays by Redis occur each time, those of a busy machine do not.
    while len(first) < 5 and (min(first, default=1) >= 0.2 + 0.1 or min(others) >= 0.1):
        address = f"192.0.2.{len(first)}"
        assert timed(client, address)[0] == 200
        own_redis.freeze()
        answers = [timed(client, address) for _ in range(4)]
        own_redis.thaw()
        wait_until_back(server)
        assert [status for status, _ in answers] == [200] * 4
        first.append(answers[0][1])
        others.append(sum(seconds for _, seconds in answers[1:]))

    assert min(first) < 0.2 + 0.1  # the rest is the request itself
    assert min(others) < 0.1


@pytest.mark.long
def test_frozen_redis_delays_no_second_request(server, client, own_redis, monkeypatch):
    monkeypatch.setattr(limiter, "RETRY_SECONDS", 0.1)
    own_redis.freeze()
    client.get(WANTED)

    def slowest_of_many():
        slowest, end = 0.0, time.monotonic() + 1.5
        while time.monotonic() < end:
            slowest = max(slowest, timed(client)[1])
            time.sleep(0.01)
        return slowest

    # Redis is tried about fifteen times in each period: one without a wait is enough.
    assert any(slowest_of_many() < 0.1 for _ in range(5))
    own_redis.thaw()


def test_returning_redis_is_detected_without_a_request(
    server, client, own_redis, caplog, monkeypatch
):
    monkeypatch.setattr(limiter, "RETRY_SECONDS", 0.1)
    own_redis.kill()
    client.get(WANTED)
    assert away(server)

    own_redis.start()
    with caplog.at_level(logging.INFO, "vaultr"):
        wait_until_back(server)

    assert events(caplog) == ["redis.away", "redis.back"]
    assert statuses(client, 9) == [200] * 8 + [429]


def test_readiness_is_degraded_first_and_then_not_ready(tmp_path, own_redis, monkeypatch):
    monkeypatch.setattr("vaultr.health.readiness._database", lambda: ([], []))
    with sample_routes.server(tmp_path, REDIS_URL=own_redis.url, READY_REDIS_GRACE="600") as app:
        client = app.test_client()
        assert degraded(app, client) == []
        own_redis.kill()

        assert degraded(app, client) == ["redis"]
        response = client.get("/api/ready")
        body = b'{"ready":true,"degraded":["redis"]}'
        assert (response.status_code, response.data) == (200, body)

        with app.app_context():
            limiter.current().away_since -= 601
        assert degraded(app, client) == ["redis"]
        response = client.get("/api/ready")
        body = b'{"ready":false,"error":"Dependencies unavailable","failed":["redis"]}'
        assert (response.status_code, response.data) == (503, body)

        without = app.config["SETTINGS"].model_copy(update={"ready_requires": ("none",)})
        monkeypatch.setitem(app.config, "SETTINGS", without)
        app.extensions["health.readiness"].at = 0.0
        assert client.get("/api/ready").status_code == 200


def with_password(url, password):
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f":{password}@127.0.0.1:{parts.port}"))


@contextlib.contextmanager
def wrong_password(admin, _server, _own):
    admin.config_set("requirepass", "right")
    admin.client_kill_filter(_type="normal", skipme=True)
    yield
    admin.execute_command("AUTH", "right")
    admin.config_set("requirepass", "")


@contextlib.contextmanager
def full(admin, _server, _own):
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", "1")
    yield
    admin.config_set("maxmemory", "0")


@contextlib.contextmanager
def read_only(admin, _server, _own):
    admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    admin.execute_command("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def frozen(_admin, _server, own):
    own.freeze()
    yield
    own.thaw()


@contextlib.contextmanager
def killed(_admin, _server, own):
    own.kill()
    yield
    own.start()


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (full, "full"),
        (frozen, "timeout"),
        pytest.param(wrong_password, "password", marks=pytest.mark.long),
        pytest.param(read_only, "read-only", marks=pytest.mark.long),
        pytest.param(killed, "connection", marks=pytest.mark.long),
    ],
)
def test_broken_redis_counts_as_unavailable_until_repaired(
    time_limit, server, client, own_redis, admin, broken, reason, monkeypatch, caplog
):
    monkeypatch.setattr("vaultr.health.readiness._database", lambda: ([], []))
    monkeypatch.setattr(limiter, "RETRY_SECONDS", 0.1)
    assert timed(client, "192.0.2.9")[0] == 200
    wait_until_back(server)
    counted = number("vaultr_redis_errors_total", reason=reason)

    with broken(admin, server, own_redis), caplog.at_level(logging.INFO, "vaultr"):
        answers = [timed(client) for _ in range(5)]
        assert [status for status, _ in answers] == [200] * 4 + [429]
        assert statistics.median(seconds for _, seconds in answers) < time_limit(
            0.1
        )  # one may wait
        assert away(server)
        assert degraded(server, client) == ["redis"]
        assert away(server)
        assert number("vaultr_redis_away") == 1

    reported = [record.fields["reason"] for record in caplog.records if record.msg == "redis.away"]
    assert reason in reported
    assert len(set(reported)) == len(reported)
    assert number("vaultr_redis_errors_total", reason=reason) > counted
    wait_until_back(server)
    assert degraded(server, client) == []
    assert number("vaultr_redis_away") == 0


def test_redis_requiring_unknown_password_is_unavailable_from_start(own_redis, admin, tmp_path):
    admin.config_set("requirepass", "right")
    url = with_password(own_redis.url, "wrong")
    with sample_routes.server(
        tmp_path, REDIS_URL=url, LIMIT_ANONYMOUS="4/3600", WEB_CONCURRENCY="2"
    ) as app:
        assert statuses(app.test_client(), 3) == [200, 200, 429]
        assert away(app)

    with sample_routes.server(tmp_path, REDIS_URL=with_password(own_redis.url, "right")) as app:
        assert statuses(app.test_client(), 1) == [200]
        assert not away(app)


def test_log_of_redis_outage_contains_no_password(own_redis, tmp_path, capsys):
    url = with_password(own_redis.url, "hunter2")
    with sample_routes.server(tmp_path, REDIS_URL=url, LOG_LEVEL="INFO") as app:
        own_redis.kill()
        app.test_client().get(WANTED)

    out = capsys.readouterr().out
    [line] = [json.loads(one) for one in out.splitlines() if "redis.away" in one]
    assert line["level"] == "warning"
    assert "hunter2" not in out


def test_logins_are_counted_exactly_without_redis(own_redis, tmp_path):
    """Not by a worker's share of the limit, because the database counts them."""
    limits = {"LIMIT_LOGIN_ACCOUNT": "4/900", "WEB_CONCURRENCY": "2"}
    body = {
        "email": "ann@example.org",
        "auth_key": "A" * 43,
        "device": {"id": "0a1b2c3d-0000-4000-8000-00000000000f", "name": "x"},
    }
    with sample_routes.server(tmp_path, REDIS_URL=own_redis.url, **limits) as app:
        own_redis.kill()
        client = app.test_client()
        answers = [client.post("/api/v1/auth/login", json=body).status_code for _ in range(6)]

    assert answers == [401] * 4 + [429] * 2
