"""Limits by address for anonymous requests and by session for others, and their headers."""

import threading
from uuid import uuid4

import pytest

from tests import factories
from tests.harness import sample_routes
from vaultr.database.session import db

WANTED = "/api/v1/small/wanted"


@pytest.fixture(params=["memory", "redis"])
def limited(request, tmp_path):
    """``limited(LIMIT_READS="3/60")``: a server with these limits, with Redis or in memory."""
    more = {}
    if request.param == "redis":
        request.getfixturevalue("flushed_redis")
        more["REDIS_URL"] = request.getfixturevalue("redis_url")
        more["WEB_CONCURRENCY"] = "2"
    started = []

    def start(**limits):
        context = sample_routes.server(tmp_path, **more, **limits)
        started.append(context)
        return context.__enter__()

    yield start
    for context in started:
        context.__exit__(None, None, None)


def as_ann(app):
    with app.app_context():
        session = factories.session(factories.owner("ann@example.org"))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {session.access_token}"
    return client


def statuses(client, path, times, **request):
    return [client.get(path, **request).status_code for _ in range(times)]


def at(address):
    return {"environ_overrides": {"REMOTE_ADDR": address}}


def test_anonymous_requests_share_one_counter_per_address(limited):
    client = limited(LIMIT_ANONYMOUS="4/3600").test_client()

    answers = [
        client.get("/api/v1/nowhere"),
        client.get("/"),
        client.get("/api/v1/auth/me"),
        client.delete(WANTED),
        client.get(WANTED),
    ]

    assert [answer.status_code for answer in answers] == [404, 200, 401, 405, 429]
    assert answers[-1].json["type"] == "urn:vaultr:problem:rate-limited"
    assert client.get(WANTED, **at("192.0.2.9")).status_code == 200


def test_limited_response_has_rate_limit_headers(limited):
    client = limited(LIMIT_ANONYMOUS="2/3600").test_client()

    first, second, third = (client.get(WANTED).headers for _ in range(3))

    assert [one["RateLimit-Limit"] for one in (first, second, third)] == ["2"] * 3
    assert [one["RateLimit-Remaining"] for one in (first, second, third)] == ["1", "0", "0"]
    assert 0 < int(first["RateLimit-Reset"]) <= 3600
    assert "Retry-After" not in second
    assert third["Retry-After"] == third["RateLimit-Reset"]
    assert 0 < int(third["Retry-After"]) <= 7200


def test_ipv6_network_counts_as_one_client(limited):
    client = limited(LIMIT_ANONYMOUS="2/3600").test_client()

    answers = [client.get(WANTED, **at(f"2001:db8::{n}")).status_code for n in range(1, 4)]

    assert answers == [200, 200, 429]
    assert client.get(WANTED, **at("2001:db8:0:1::1")).status_code == 200


def test_probes_are_not_counted(limited):
    client = limited(LIMIT_ANONYMOUS="1/3600").test_client()

    assert statuses(client, "/api/health", 5) == [200] * 5
    assert statuses(client, "/api/ready", 5) == [503] * 5
    assert "RateLimit-Limit" not in client.get("/api/health").headers
    assert client.get(WANTED).status_code == 200


def test_reads_and_writes_are_counted_separately_by_session(limited):
    app = limited(LIMIT_READS="2/3600", LIMIT_WRITES="1/3600", LIMIT_ANONYMOUS="1/3600")
    one, another = as_ann(app), as_ann(app)
    write = f"/api/v1/small/closed/{uuid4()}"

    assert [one.put(write, json={"word": "x"}).status_code for _ in range(2)] == [404, 429]
    assert statuses(one, "/api/v1/auth/me", 3) == [200, 200, 429]
    assert statuses(another, "/api/v1/auth/me", 1) == [200]


def test_request_with_dead_token_counts_as_anonymous(limited):
    app = limited(LIMIT_ANONYMOUS="2/3600")
    client = as_ann(app)
    assert client.post("/api/v1/auth/logout").status_code == 204

    assert statuses(client, "/api/v1/auth/me", 3) == [401, 401, 429]


def test_session_found_dead_by_view_counts_as_anonymous(limited):
    app = limited(LIMIT_ANONYMOUS="2/3600")
    client = as_ann(app)
    assert client.post("/api/v1/auth/logout").status_code == 204
    path = f"/api/v1/small/proven/{uuid4()}"

    assert [client.put(path, json={"word": "x"}).status_code for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize(("changes", "writes"), [(1, 1), (100, 1), (101, 2), (350, 4)])
def test_batch_counts_as_one_write_per_started_hundred_changes(limited, changes, writes):
    app = limited(LIMIT_WRITES="10/3600")
    client = as_ann(app)

    body = {"word": "x", "number": changes}
    assert client.put(f"/api/v1/small/in/{sample_routes.VAULT}", json=body).status_code == 204

    last = client.put(f"/api/v1/small/closed/{uuid4()}", json={"word": "x"})
    assert last.headers["RateLimit-Remaining"] == str(10 - writes - 1)


def test_route_limit_is_by_address_with_same_headers(limited):
    client = limited(LIMIT_SIGNUP="2/3600").test_client()

    answers = [client.get("/api/v1/small/limited") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [204, 204, 429]
    rejected = answers[-1]
    assert rejected.json["type"] == "urn:vaultr:problem:rate-limited"
    assert (rejected.headers["RateLimit-Limit"], rejected.headers["RateLimit-Remaining"]) == (
        "2",
        "0",
    )
    assert rejected.headers["Retry-After"] == rejected.headers["RateLimit-Reset"]
    assert 0 < int(rejected.headers["Retry-After"]) <= 7200
    assert not any(name.startswith("X-RateLimit") for name, _ in rejected.headers)
    assert client.get("/api/v1/small/limited", **at("192.0.2.9")).status_code == 204


def test_route_limit_remaining_is_reported_before_it_is_reached(limited):
    client = limited(LIMIT_SIGNUP="3/3600", LIMIT_ANONYMOUS="100/60").test_client()

    answers = [client.post("/api/v1/auth/signup", json=factories.signup()) for _ in range(2)]

    reported = [
        [answer.headers[f"RateLimit-{one}"] for one in ("Limit", "Remaining")] for answer in answers
    ]
    assert reported == [["3", "2"], ["3", "1"]]
    assert all(answer.status_code == 202 for answer in answers)


def test_parallel_anonymous_requests_stay_within_the_limit(limited):
    app = limited(LIMIT_SIGNUP="5/3600")
    answers, start = [], threading.Barrier(10)

    def ask():
        start.wait()
        answers.extend(statuses(app.test_client(), "/api/v1/small/limited", 2))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [204] * 5 + [429] * 15


def test_two_apps_of_one_process_share_no_counters(limited, tmp_path):
    first = limited(LIMIT_SIGNUP="1/3600", LIMIT_ANONYMOUS="9/3600")
    with sample_routes.server(tmp_path / "second", LIMIT_SIGNUP="3/3600") as second:
        one, two = first.test_client(), second.test_client()

        assert statuses(one, "/api/v1/small/limited", 2) == [204, 429]
        assert statuses(two, "/api/v1/small/limited", 4) == [204, 204, 204, 429]
        assert one.get(WANTED).headers["RateLimit-Limit"] == "9"
        assert two.get(WANTED).headers["RateLimit-Limit"] == "600"
    with first.app_context():
        db.session.remove()
