"""HTTP methods of known and unknown paths."""

from uuid import uuid4

import pytest

from tests.harness import sample_routes

WORD = {"word": "x"}


@pytest.fixture
def anonymous(tmp_path):
    with sample_routes.server(tmp_path) as app:
        yield app.test_client()


def status_and_slug(response):
    assert response.mimetype == "application/problem+json"
    return response.status_code, response.json["type"].removeprefix("urn:vaultr:problem:")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/small/word", {"POST", "OPTIONS"}),
        ("DELETE", "/api/v1/small/wanted", {"GET", "HEAD", "OPTIONS"}),
        ("FOO", "/api/v1/small/wanted", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/api/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_unsupported_method_returns_405_with_allow_header(anonymous, method, path, allowed):
    response = anonymous.open(path, method=method)

    assert status_and_slug(response) == (405, "method-not-allowed")
    assert set(response.headers["Allow"].split(", ")) == allowed


def test_options_returns_204_with_allow_header_without_calling_view(anonymous):
    response = anonymous.options("/api/v1/small/word")

    assert (response.status_code, response.data) == (204, b"")
    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert status_and_slug(anonymous.options("/api/v1/nowhere")) == (404, "not-found")
    assert anonymous.options(f"/api/v1/small/closed/{uuid4()}").status_code == 204


def test_head_returns_headers_of_get_without_body(anonymous):
    head, get = (anonymous.open("/api/v1/small/wanted", method=m) for m in ("HEAD", "GET"))

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize("form", ["{}", "{}0", "x{}"])
def test_noncanonical_id_in_path_returns_404(anonymous, form):
    one = str(uuid4())
    path = "/api/v1/small/closed/"

    assert status_and_slug(anonymous.put(path + form.format(one.upper()), json=WORD)) == (
        404,
        "not-found",
    )
    assert status_and_slug(anonymous.put(path + form.format(one.replace("-", "")), json=WORD)) == (
        404,
        "not-found",
    )
    assert status_and_slug(anonymous.put(f"/api/v1//small/closed/{one}", json=WORD)) == (
        404,
        "not-found",
    )
