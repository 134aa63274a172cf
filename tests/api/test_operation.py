"""A view's contract at run time: bodies, queries, responses, errors and their order."""

import json
from uuid import uuid4

import pytest
from werkzeug.test import EnvironBuilder

from tests import factories
from tests.harness import sample_routes, servers
from vaultr.api import request_parsing
from vaultr.database.session import db

WORD = {"word": "x"}


@pytest.fixture
def server(tmp_path):
    with sample_routes.server(tmp_path) as app:
        yield app


@pytest.fixture
def anonymous(server):
    return server.test_client()


@pytest.fixture
def ann(server):
    with server.app_context():
        session = factories.session(factories.owner("ann@example.org"))
    client = server.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {session.access_token}"
    client.session = session
    return client


def slug(response):
    assert response.mimetype == "application/problem+json"
    assert response.json["status"] == response.status_code
    assert response.json["request_id"] == response.headers["X-Request-Id"]
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def status_and_slug(response):
    return response.status_code, slug(response)


def post(client, data, kind="application/json", path="word", **more):
    return client.post(f"/api/v1/small/{path}", data=data, content_type=kind, **more)


def test_valid_body_reaches_view_and_response_is_its_model(anonymous):
    response = post(anonymous, json.dumps(WORD))

    assert (response.status_code, response.json) == (200, WORD)
    assert response.mimetype == "application/json"
    assert [body.word for body in sample_routes.called] == ["x"]


@pytest.mark.parametrize(
    ("data", "pointers"),
    [
        ("{}", ["/word"]),
        ('{"word": "x", "more": 1}', ["/more"]),
        ('{"word": 7, "number": "x", "id": "y"}', ["/word", "/number", "/id"]),
        ('{"word": "x", "a/b~c": 1}', ["/a~1b~0c"]),
        ('{"word": "x", "number": -1}', ["/number"]),
        *((text, [""]) for text in ("[]", "null", "7", '"x"')),
        *((text, [""]) for text in (" ", "{", '{"word": "x", "word": "y"}', '{"word": NaN}')),
        (b'{"word": "\xff"}', [""]),
    ],
)
def test_malformed_body_returns_400_with_field_pointers(anonymous, data, pointers):
    response = post(anonymous, data)

    assert status_and_slug(response) == (400, "bad-request")
    assert [one["pointer"] for one in response.json["errors"]] == pointers
    assert sample_routes.called == []


def test_error_never_repeats_a_value(anonymous):
    response = post(anonymous, '{"word": 4711, "number": "hunter2", "id": "hunter2"}')

    assert "hunter2" not in response.text
    assert "4711" not in response.text


def test_too_many_invalid_fields_are_not_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(request_parsing, "_MAX_ERRORS", 3)
    with sample_routes.server(tmp_path) as app:
        few, many = (
            post(app.test_client(), json.dumps({"word": "x"} | {f"k{n}": n for n in range(size)}))
            for size in (3, 4)
        )

    assert len(few.json["errors"]) == 3
    assert [one["pointer"] for one in many.json["errors"]] == [""]


@pytest.mark.parametrize("kind", ["text/plain", "", "application/json; charset=latin-1"])
def test_unsupported_media_type_returns_415(anonymous, kind):
    assert status_and_slug(post(anonymous, json.dumps(WORD), kind)) == (
        415,
        "unsupported-media-type",
    )


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 415), ("identity, gzip", 415), ("identity", 200)]
)
def test_compressed_body_returns_415(anonymous, encoding, status):
    response = post(anonymous, json.dumps(WORD), headers={"Content-Encoding": encoding})

    assert response.status_code == status


def test_body_over_limit_returns_413(anonymous):
    assert status_and_slug(post(anonymous, "x" * 2001, "text/plain")) == (413, "payload-too-large")
    assert post(anonymous, json.dumps({"word": "x" * 1987})).status_code == 200


def test_body_without_content_length_returns_411(anonymous):
    response = anonymous.post(
        "/api/v1/small/word",
        content_type="application/json",
        headers={"Transfer-Encoding": "chunked"},
    )

    assert status_and_slug(response) == (411, "length-required")
    missing = anonymous.post("/api/v1/small/word", content_type="application/json")
    assert status_and_slug(missing) == (411, "length-required")


def test_route_without_body_needs_no_length_and_accepts_none(anonymous):
    assert anonymous.post("/api/v1/small/nothing").status_code == 204
    assert status_and_slug(post(anonymous, "{}", path="nothing")) == (400, "bad-request")
    assert len(sample_routes.called) == 1


@pytest.mark.parametrize(
    ("query", "word"), [("", "10None"), ("limit=3&kind=a", "3a"), ("kind=", "10")]
)
def test_valid_query_reaches_the_view(anonymous, query, word):
    assert anonymous.get(f"/api/v1/small/wanted?{query}").json == {"word": word}


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=1&limit=2",
        "more=1",
        "kind=%00",
        "limit=",
        "=",
        "%ff=1",
        "kind=%ED%A0%80%00",
    ],
)
def test_malformed_query_returns_400(anonymous, query):
    response = anonymous.get(f"/api/v1/small/wanted?{query}")

    assert status_and_slug(response) == (400, "bad-request")
    assert all(one["pointer"].startswith("/query") for one in response.json["errors"])


def test_raw_bytes_in_query_return_400(anonymous):
    response = anonymous.get(
        "/api/v1/small/wanted", environ_overrides={"QUERY_STRING": "kind=\xff"}
    )

    assert status_and_slug(response) == (400, "bad-request")


def test_query_on_route_without_query_returns_400(anonymous):
    response = anonymous.post("/api/v1/small/nothing?x=1")

    assert status_and_slug(response) == (400, "bad-request")
    assert [one["pointer"] for one in response.json["errors"]] == ["/query"]


def test_responses_have_declared_statuses_and_headers(anonymous):
    made = anonymous.get("/api/v1/small/made")
    accepted = anonymous.get("/api/v1/small/accepted")

    assert (made.status_code, made.json, made.headers["ETag"]) == (201, {"word": "new"}, '"7"')
    assert (accepted.status_code, accepted.data) == (202, b"")
    assert "Content-Type" not in accepted.headers


def test_error_has_its_members_and_headers(anonymous):
    response = anonymous.get("/api/v1/small/refused", headers={"Accept": "text/html, image/*"})

    assert response.json == {
        "type": "urn:vaultr:problem:conflict",
        "title": "Conflict",
        "status": 409,
        "detail": "No.",
        "request_id": response.headers["X-Request-Id"],
        "errors": [{"pointer": "/word", "message": "too long"}],
        "revision": 7,
    }
    assert response.headers["X-A"] == "b"


def test_unexpected_error_returns_500_without_details(anonymous, capfd):
    response = anonymous.get("/api/v1/small/breaks")

    assert status_and_slug(response) == (500, "internal")
    assert "hunter2" not in response.text


def test_error_in_error_handler_returns_problem(anonymous):
    response = anonymous.get("/api/v1/small/unwritable", headers={"X-Request-Id": "here"})

    assert status_and_slug(response) == (500, "internal")
    assert response.json["request_id"] == "here"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Cache-Control"] == "no-store"


def test_early_error_returns_problem(server, monkeypatch):
    def broken(_environ):
        raise RuntimeError

    monkeypatch.setattr(server, "request_context", broken)

    started = []
    environ = EnvironBuilder("/api/health").get_environ()
    body = server.wsgi_app(environ, lambda *provided: started.append(provided))

    [(status, headers, _)] = started
    assert (status, dict(headers)["X-Frame-Options"]) == ("500 Internal Server Error", "DENY")
    assert json.loads(b"".join(body))["request_id"] == dict(headers)["X-Request-Id"] != "-"


def test_401_comes_before_errors_in_the_body(anonymous, ann):
    path = f"/api/v1/small/closed/{uuid4()}"

    for client, status in ((anonymous, 401), (ann, 415)):
        assert client.put(path, data="x" * 10).status_code == status
        assert client.put(path, data="x" * 2**21).status_code == (401 if status == 401 else 413)


def test_400_comes_before_403_and_403_before_404(server, ann):
    path = f"/api/v1/small/closed/{uuid4()}"
    assert status_and_slug(ann.put(path, json=WORD)) == (404, "not-found")

    with server.app_context():
        long_ago = factories.datetime(2026, 1, 1, tzinfo=factories.UTC)
        factories.change_session(ann.session.id, proven_at=long_ago)

    assert status_and_slug(ann.put(path, json={})) == (400, "bad-request")
    assert status_and_slug(ann.put(path, json=WORD)) == (403, "step-up-required")
    assert len(sample_routes.called) == 1


def test_dead_session_returns_401_before_any_other_error(server, ann):
    path = f"/api/v1/small/proven/{uuid4()}"
    assert ann.put(path, json=WORD).status_code == 404
    assert ann.put(path, json={}).status_code == 400

    with server.app_context():
        past = factories.datetime(2026, 1, 1, tzinfo=factories.UTC)
        factories.change_session(ann.session.id, idle_until=past)

    for body in (WORD, {}, "x"):
        assert status_and_slug(ann.put(path, json=body)) == (401, "unauthenticated")


def test_429_comes_before_401(tmp_path):
    with sample_routes.server(tmp_path, LIMIT_ANONYMOUS="1/3600") as app:
        anonymous = app.test_client()

        answers = [anonymous.put(f"/api/v1/small/closed/{uuid4()}") for _ in range(2)]

    assert [status_and_slug(answer) for answer in answers] == [
        (401, "unauthenticated"),
        (429, "rate-limited"),
    ]


@pytest.mark.parametrize("path", ["small/word", "small/nothing", "nowhere", "auth/me"])
def test_two_credentials_on_one_request_return_400(ann, path):
    token = ann.environ_base.pop("HTTP_AUTHORIZATION")

    response = ann.post(f"/api/v1/{path}", headers={"Authorization": f"{token},{token}"})

    assert status_and_slug(response) == (400, "bad-request")


@pytest.mark.parametrize(("tries", "status"), [(0, 204), (2, 204), (99, 503)])
def test_lost_race_is_retried_once_then_busy(postgres_url, tmp_path, tries, status):
    url = servers.fresh_database(postgres_url)
    with sample_routes.server(tmp_path, DATABASE_URL=url) as app:
        sample_routes.blueprint.succeeds_at = tries

        response = app.test_client().post("/api/v1/small/contended")

        assert response.status_code == status
        assert len(sample_routes.called) == min(max(tries, 1), 2)
        if status == 503:
            assert slug(response) == "busy"
            assert response.headers["Retry-After"] == "1"
        with app.app_context():
            assert db.engine.pool.checkedout() == 0
    servers.drop_database(url)
