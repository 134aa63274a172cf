"""Refreshes are counted by session in SQL; rejected ones are counted by address."""

import re
import secrets

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import sample_routes
from vaultr.api import kill_switches
from vaultr.database.session import AUTOCOMMIT, db
from vaultr.protocol.encoding import b64
from vaultr.ratelimit import limits
from vaultr.ratelimit.counters import RedisCounters

REFRESH = "/api/v1/auth/refresh"


@pytest.fixture
def limited(tmp_path, flushed_redis, redis_url):
    """``limited(LIMIT_ANONYMOUS="3/3600")``: a server with these limits, counting in Redis."""
    started = []

    def start(**limits):
        context = sample_routes.server(tmp_path, REDIS_URL=redis_url, WEB_CONCURRENCY="2", **limits)
        started.append(context)
        return context.__enter__()

    yield start
    for context in started:
        context.__exit__(None, None, None)


@pytest.fixture
def trips(monkeypatch):
    """The keys counted in Redis, one list for each round trip."""
    seen, take = [], RedisCounters.take

    def noting(self, counts):
        keys = [count.key for count in counts]
        if keys != ["probe"]:  # the app of an earlier test checks whether Redis is back
            seen.append(keys)
        return take(self, counts)

    monkeypatch.setattr(RedisCounters, "take", noting)
    return seen


def statements_of(app):
    """Return a list that collects every statement from now on."""
    seen = []
    with app.app_context():
        for engine in (db.engine, AUTOCOMMIT.get(app)):
            sa.event.listen(engine, "before_cursor_execute", lambda *body: seen.append(body[2]))
    return seen


def session_of(app):
    with app.app_context():
        return factories.session(factories.owner("ann@example.org"))


def refresh(client, token=None, **request):
    token = token or b64(secrets.token_bytes(32))
    return client.post(REFRESH, json={"refresh_token": token}, **request)


def test_refresh_is_counted_only_by_session(limited, trips):
    app = limited()
    session = session_of(app)
    trips.clear()

    answer = refresh(app.test_client(), session.refresh_token)

    assert answer.status_code == 200
    assert trips == []
    assert answer.headers["RateLimit-Limit"] == "6"
    assert answer.headers["RateLimit-Remaining"] == "5"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"refresh_token": b64(bytes(32))}}, 401),
        ({"json": {"refresh_token": "no token"}}, 401),
        ({"json": {}}, 401),
        ({"json": {"refresh_token": 7}}, 400),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"{}", "content_type": "text/plain"}, 415),
        ({"method": "GET"}, 405),
        ({"method": "OPTIONS"}, 204),
    ],
)
def test_request_without_valid_token_counts_by_address(limited, request_, status):
    client = limited(LIMIT_ANONYMOUS="2/3600").test_client()
    sent = {"method": "POST", **request_}

    answers = [client.open(REFRESH, **sent) for _ in range(3)]

    assert [one.status_code for one in answers] == [status, status, 429]
    assert [one.headers["RateLimit-Remaining"] for one in answers] == ["1", "0", "0"]
    assert answers[2].json["type"] == "urn:vaultr:problem:rate-limited"
    assert int(answers[2].headers["Retry-After"]) > 0


def test_rate_limit_is_checked_before_kill_switch(limited):
    app = limited(LIMIT_ANONYMOUS="1/3600")
    client = app.test_client()
    with app.app_context():
        kill_switches.switch_off("maintenance", by="ann")
        kill_switches.forget()

    assert [refresh(client).status_code for _ in range(2)] == [503, 429]


def test_flood_of_forged_tokens_costs_no_sql(limited):
    app = limited(LIMIT_ANONYMOUS="2/3600")
    client = app.test_client()
    assert [refresh(client).status_code for _ in range(3)] == [401, 401, 429]
    seen = statements_of(app)

    answers = [refresh(client).status_code for _ in range(5)]

    assert answers == [429] * 5
    assert not [one for one in seen if "refresh_tokens" in one]


def test_anonymous_flood_from_an_address_does_not_block_its_refreshes(limited):
    app = limited(LIMIT_ANONYMOUS="1/3600")
    session = session_of(app)
    client = app.test_client()
    assert refresh(client).status_code == 401

    assert refresh(client, session.refresh_token).status_code == 200


def test_recently_limited_address_is_counted_before_token_lookup(limited):
    app = limited(LIMIT_ANONYMOUS="1/3600")
    session = session_of(app)
    elsewhere = {"environ_overrides": {"REMOTE_ADDR": "192.0.2.9"}}
    client = app.test_client()
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]

    assert refresh(client, session.refresh_token).status_code == 429
    assert refresh(client, session.refresh_token, **elsewhere).status_code == 200


def test_request_of_session_over_limit_is_counted_by_address(limited):
    app = limited(LIMIT_REFRESH="1/3600", LIMIT_ANONYMOUS="4/3600")
    session = session_of(app)
    client = app.test_client()
    newest = refresh(client, session.refresh_token).json["refresh_token"]
    seen = statements_of(app)

    answers = [refresh(client, newest) for _ in range(5)]

    assert [one.status_code for one in answers] == [429] * 5
    assert [one.headers["RateLimit-Limit"] for one in answers] == ["1", "1", "1", "1", "4"]
    assert not [one for one in seen if re.search("INSERT|UPDATE|DELETE", one)]


def test_refresh_limit_applies_without_redis(tmp_path):
    with sample_routes.server(tmp_path, LIMIT_REFRESH="2/3600", LIMIT_ANONYMOUS="9/3600") as app:
        client, token = app.test_client(), session_of(app).refresh_token
        answers = []
        for _ in range(3):
            answers.append(refresh(client, token))
            token = (answers[-1].json or {}).get("refresh_token", token)

        assert [one.status_code for one in answers] == [200, 200, 429]
        assert [one.headers["RateLimit-Limit"] for one in answers] == ["2"] * 3


def test_limited_addresses_are_stored_one_minute_and_bounded():
    now = [100.0]
    lately = limits.RecentlyLimited(clock=lambda: now[0])
    lately.add("192.0.2.1", 900)
    lately.add("192.0.2.2", 5)

    assert "192.0.2.1" in lately
    assert "192.0.2.3" not in lately
    now[0] += 6
    assert "192.0.2.2" not in lately
    now[0] += 60
    assert "192.0.2.1" not in lately
    for number in range(limits.MOST_ADDRESSES + 10):
        lately.add(str(number), 60)
    assert len(lately._full) <= limits.MOST_ADDRESSES
    assert str(limits.MOST_ADDRESSES + 9) in lately
