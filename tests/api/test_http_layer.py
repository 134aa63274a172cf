"""Unknown paths, methods and hosts, and the headers of every response."""

import json

import pytest


def test_unknown_path_returns_404_problem(client):
    response = client.get("/api/v1/nothing", headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert response.mimetype == "application/problem+json"
    assert response.json["type"] == "urn:vaultr:problem:not-found"
    assert response.json["request_id"] == response.headers["X-Request-Id"]


def test_unknown_host_returns_400(client):
    response = client.get("/api/v1/nothing", headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert response.json["type"] == "urn:vaultr:problem:host-unknown"


@pytest.mark.parametrize("value", ["two words", "a" * 65, "<script>"])
def test_malformed_request_id_is_replaced(client, value):
    stored = client.get("/api/v1/nothing", headers={"X-Request-Id": "abc-1"})
    replaced = client.get("/api/v1/nothing", headers={"X-Request-Id": value})

    assert stored.headers["X-Request-Id"] == "abc-1"
    assert replaced.headers["X-Request-Id"] != value


@pytest.mark.parametrize("body", [[], [{}], 5, "text", True, None])
def test_non_object_body_gets_plain_error(client, body):
    sent = {"data": json.dumps(body), "content_type": "application/json"}
    response = client.post("/api/v1/auth/prelogin", **sent)

    assert response.status_code == 400
    assert response.json["errors"] == [{"pointer": "", "message": "an object"}]
