"""Headers, CORS, hosts and caching of every route and status."""

import itertools
import re
import uuid
from datetime import timedelta

import pytest

from tests import factories
from tests.harness.security_headers import EVERY, HSTS, PAGE
from vaultr.auth.models import Session
from vaultr.database.session import transaction

HTTPS = "https://localhost"
OURS, FOREIGN = "https://app.example.org", "https://evil.example.org"
# HEAD is handled by the view of GET, other methods by none: all bodies are sent to them only with
# ``--long``.
WITHOUT_OWN_VIEW = {"HEAD", "OPTIONS", "PATCH"}
COUNTED = (
    "anonymous",
    "signup",
    "login_address",
    "login_account",
    "refresh",
    "mail",
    "reads",
    "writes",
)
CACHED = {
    "/api/v1/openapi.json": "private, max-age=300",
    "assets": "public, max-age=31536000, immutable",
}
# The test covers any response of a route, and must have seen at least these statuses.
STATUSES = {200, 204, 400, 401, 403, 404, 405, 411, 413, 415, 429, 503}


@pytest.fixture
def swept(app, set_to):
    generous = {f"limit_{name}": "1000000/60" for name in COUNTED}
    set_to(app, cors_origins=(OURS,), **generous)
    return app


def routes(app):
    """List every method of every route, with ids."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<uuid:\w+>", str(uuid.uuid4()), rule.rule)
        path = re.sub(r"<revision:\w+>", "1", path)
        path = re.sub(r"<[^>]+>", "nothing", path)
        for method in sorted(rule.methods | {"PATCH"}):
            yield method, path


def bearers(app):
    """Return the headers of an anonymous client, a user, and a user whose step-up is too old."""
    with app.app_context():
        fresh, stale = (factories.session(factories.owner("ann@example.org")) for _ in range(2))
        with transaction() as work:
            row = work.get(Session, stale.id)
            row.proven_at -= timedelta(hours=1)
    return {}, fresh.headers, stale.headers


def requests():
    """Yield valid and invalid requests to each route."""
    yield {}
    yield {"json": {}}
    yield {"data": b"{", "content_type": "application/json"}
    yield {"data": b"{}", "content_type": "text/plain"}
    yield {"environ_overrides": {"CONTENT_LENGTH": "99999999"}, "content_type": "application/json"}
    yield {"headers": {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}}
    yield {"query_string": {"nonsense": "1"}}


def test_every_response_has_security_headers_and_no_caching(swept, count):
    client = swept.test_client()
    seen = set()
    for method, path in routes(swept):
        most = count(2, many=7) if method in WITHOUT_OWN_VIEW else 7
        for bearer in bearers(swept):
            for request in itertools.islice(requests(), most):
                provided = dict(request)
                headers = {**bearer, "Origin": OURS, **provided.pop("headers", {})}
                # Buffered, because an unread export holds its snapshot and locks.
                answer = client.open(
                    path, method=method, base_url=HTTPS, headers=headers, buffered=True, **provided
                )
                seen.add(answer.status_code)
                check(answer, f"{method} {path} {answer.status_code}")
    seen |= rejected_before_any_route(swept, client)

    assert seen >= STATUSES
    assert 500 not in seen


def rejected_before_any_route(app, client):
    """Yield responses that no route returns itself: wrong host, rate limit, switched off."""
    requested = [
        client.get("/api/v1/vaults", base_url="https://other.example.org"),
        client.post("/api/v1/auth/login", base_url=HTTPS, json={}, headers={"Origin": OURS}),
        client.get("/api/v1/nowhere", base_url=HTTPS),
    ]
    with app.app_context():
        app.config["SETTINGS"] = app.config["SETTINGS"].model_copy(
            update={"limit_anonymous": type(app.config["SETTINGS"].limit_anonymous)(1, 60)}
        )
    requested += [client.get("/api/v1/vaults", base_url=HTTPS) for _ in range(3)]
    for answer in requested:
        check(answer, f"{answer.request.path} {answer.status_code}", ours=False)
    return {answer.status_code for answer in requested}


def check(answer, what, *, ours=True):
    """Check a response against section 7 of the contract, and the rules of caching and CORS."""
    headers = answer.headers
    page = answer.mimetype == "text/html"
    expected = {**EVERY, **(PAGE if page else {}), "Strict-Transport-Security": HSTS}
    for name, value in expected.items():
        assert headers.getlist(name) == [value], f"{what}: {name}"
    assert len(headers.getlist("X-Request-Id")) == 1, what
    stored = headers.getlist("Cache-Control")
    assert stored in (["no-store"], [CACHED["/api/v1/openapi.json"]], [CACHED["assets"]]), what
    if stored != ["no-store"]:
        assert answer.status_code in (200, 304), what
        assert answer.request.path == "/api/v1/openapi.json" or "/static" in answer.request.path
    assert "Origin" in headers.get("Vary", ""), what
    if ours and answer.status_code != 429:
        assert headers.getlist("Access-Control-Allow-Origin") == [OURS], what
    assert "Access-Control-Allow-Credentials" not in headers or OURS in headers.getlist(
        "Access-Control-Allow-Origin"
    ), what
    probe = answer.request.path == "/api/ready" and answer.status_code == 503  # its own body
    if answer.status_code >= 400 and not page and not probe and answer.request.method != "HEAD":
        assert answer.mimetype == "application/problem+json", what
        assert answer.json["status"] == answer.status_code, what


def test_other_origins_cannot_read_any_route(swept):
    client = swept.test_client()
    for method, path in routes(swept):
        for origin in (FOREIGN, "null", f"{OURS}.evil.example", OURS.upper()):
            answer = client.open(path, method=method, base_url=HTTPS, headers={"Origin": origin})
            assert "Access-Control-Allow-Origin" not in answer.headers, f"{method} {path} {origin}"


def test_only_probes_accept_another_host(swept):
    client = swept.test_client()
    answering = set()
    for method, path in routes(swept):
        answer = client.open(path, method=method, base_url="https://other.example.org")
        if answer.status_code != 400 or answer.headers.get("Content-Length") == "0":
            answering.add(path)

    assert answering <= {"/api/health", "/api/ready"}
