"""Ranges of breached password hashes, from a file and from a service over TLS."""

import hashlib
import ssl
import threading

import pytest
from cryptography.hazmat.primitives import serialization

from tests.harness.app_fixtures import empty, environ_for, signed_in
from tests.harness.threads import at_once
from tests.harness.tls_sites import Authority, serving
from vaultr.app import create_app
from vaultr.breach import ranges
from vaultr.breach.upstream import Service, SortedFile, UpstreamFailed
from vaultr.database.session import db
from vaultr.settings.environment import InvalidSettings
from vaultr.settings.model import Settings

PASSWORDS = [f"password {number}" for number in range(500)]
HASHES = sorted(
    hashlib.sha1(one.encode(), usedforsecurity=False).hexdigest().upper() for one in PASSWORDS
)
SOME = HASHES[250]
BREACH = "/api/v1/breach"


def listed(text):
    """Parse a range like a client; padding has the count 0."""
    pairs = [line.split(":") for line in text.splitlines()]
    return {suffix: int(count) for suffix, count in pairs if int(count)}


@pytest.fixture
def list_file(tmp_path):
    path = tmp_path / "hashes.txt"
    path.write_text("".join(f"{one}:{at + 1}\r\n" for at, one in enumerate(HASHES)))
    return path


def app_with(home, url):
    app = create_app(Settings.from_environ(environ_for(home, BREACH_UPSTREAM_URL=url)))
    with app.app_context():
        db.create_all()
    return app


@pytest.fixture
def as_ann(tmp_path, list_file):
    app = app_with(tmp_path, list_file.as_uri())
    empty(app)
    return signed_in(app, "ann@example.org")


def test_range_of_a_file_is_padded_and_cached_by_clients(as_ann):
    response = as_ann.get(f"{BREACH}/{SOME[:5].lower()}")

    assert (response.status_code, response.mimetype) == (200, "text/plain")
    assert response.headers["Cache-Control"] == "private, max-age=300"
    assert "X-Breach-Status" not in response.headers
    assert listed(response.text) == {SOME[5:]: 251}
    assert len(response.data) % ranges.STEP_BYTES == 0


def test_range_without_hashes_looks_like_any_other(as_ann):
    prefix = next(p for n in range(16**5) if not any(h.startswith(p := f"{n:05X}") for h in HASHES))

    response = as_ann.get(f"{BREACH}/{prefix}")

    assert listed(response.text) == {}
    assert len(response.data) == ranges.STEP_BYTES


@pytest.mark.parametrize("prefix", ["1234", "123456", "1234g", "12%2045", ""])
def test_malformed_prefix_returns_404(as_ann, prefix):
    assert as_ann.get(f"{BREACH}/{prefix}").status_code == 404


def test_range_without_upstream_is_empty_and_marked_unavailable(app, request):
    """The app of most tests has no upstream."""
    client = signed_in(app, "ann@example.org")

    response = client.get(f"{BREACH}/12345")

    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["X-Breach-Status"] == "unavailable"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 500])
def test_sorted_file_search_finds_every_range(tmp_path, lines):
    path = tmp_path / "some.txt"
    path.write_text("".join(f"{one}:7\n" for one in HASHES[:lines]))
    searched = SortedFile(path)

    for one in HASHES[:: max(1, len(HASHES) // 50)]:
        expected = [f"{h[5:]}:7" for h in HASHES[:lines] if h.startswith(one[:5])]
        assert searched.range_of(one[:5].lower()) == expected


@pytest.mark.parametrize("content", [b"hello\n" * 99, b"\x00" * 4096, b"A" * 40 + b":x\n"])
def test_invalid_or_missing_hash_file_fails(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)

    with pytest.raises(UpstreamFailed):
        SortedFile(path).range_of("AAAAA")
    with pytest.raises(UpstreamFailed):
        SortedFile(tmp_path / "missing").range_of("AAAAA")


@pytest.mark.parametrize(
    "url", ["http://a.example/range", "ftp://a/", "file://host/x", "https:///x", "x"]
)
def test_invalid_upstream_url_prevents_start(tmp_path, url):
    with pytest.raises(InvalidSettings, match="BREACH_UPSTREAM_URL"):
        Settings.from_environ(environ_for(tmp_path, BREACH_UPSTREAM_URL=url))


class Site:
    """A service of ranges over TLS that can misbehave."""

    def __init__(self):
        self.requested, self.status, self.body, self.headers = [], "200 OK", None, []
        self.waits = threading.Event()
        self.waits.set()

    def __call__(self, environ, start_response):
        self.requested.append(environ["PATH_INFO"])
        self.waits.wait(30)
        prefix = environ["PATH_INFO"].rpartition("/")[2]
        lines = [f"{h[5:]}:3" for h in HASHES if h.startswith(prefix)] + [f"{'0' * 35}:0"]
        start_response(self.status, [("Content-Type", "text/plain"), *self.headers])
        return ["\r\n".join(lines).encode() if self.body is None else self.body]


@pytest.fixture
def site(tmp_path, monkeypatch):
    authority, made = Authority(), Site()
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with serving(made, authority.context(tmp_path, "localhost")) as port:
        made.service = Service("localhost", port, "/range", ssl.create_default_context())
        made.url = f"https://localhost:{port}/range"
        yield made
        made.waits.set()


def test_breach_service_receives_five_digits_once(tmp_path, site):
    app = app_with(tmp_path, site.url)
    empty(app)
    client = signed_in(app, "ann@example.org")

    answers = [client.get(f"{BREACH}/{SOME[:5]}") for _ in range(2)]

    assert [listed(answer.text) for answer in answers] == [{SOME[5:]: 3}] * 2
    assert answers[0].data == answers[1].data
    assert site.requested == [f"/range/{SOME[:5]}"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("302 Found", b""),
        ("404 Not Found", b""),
        ("500 Oops", b""),
        ("200 OK", b"<html>"),
        ("200 OK", b"\xff"),
        ("200 OK", f"{'A' * 35}:1\n".encode() * 40_000),
    ],
)
def test_invalid_response_of_breach_service_fails(site, status, body):
    site.status, site.body, site.headers = status, body, [("Location", site.url)]

    with pytest.raises(UpstreamFailed):
        site.service.range_of("AAAAA")
    assert len(site.requested) == 1


def test_untrusted_certificate_fails(site, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    port = int(site.url.split(":")[2].partition("/")[0])

    with pytest.raises(UpstreamFailed, match="SSLCertVerificationError"):
        Service("localhost", port, "/range", ssl.create_default_context()).range_of("AAAAA")
    with pytest.raises(UpstreamFailed, match="SSLCertVerificationError"):
        Service("127.0.0.1", port, "/range", ssl.create_default_context()).range_of("AAAAA")
    assert ssl.CERT_REQUIRED
    assert site.requested == []


def test_silent_service_occupies_four_requests_at_most(site):
    site.waits.clear()

    def ask(_):
        with pytest.raises(UpstreamFailed) as failed:
            site.service.range_of("AAAAA")
        return str(failed.value)

    assert sorted(at_once(ask, 5)) == ["TimeoutError"] * 4 + ["all connections are in use"]


def test_breaker_retries_after_a_pause(site, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(ranges.time, "monotonic", lambda: now[0])
    found = ranges._Ranges(site.service)
    site.status = "500 Oops"

    assert [found.find(f"AAAA{n}") for n in range(5)] == [None] * 5
    assert len(site.requested) == ranges.FAILURES
    now[0] += ranges.OPEN_SECONDS + 1
    assert found.find("AAAA0") is None
    assert found.find("AAAA0") is None
    assert len(site.requested) == ranges.FAILURES + 1
    now[0] += ranges.OPEN_SECONDS + 1
    site.status = "200 OK"
    assert found.find(SOME[:5])
    assert found.find("AAAA1") is not None


def test_cache_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(ranges, "CACHED_BYTES", 100)
    cache = ranges._Cache()
    for number in range(50):
        cache.put(f"{number:05X}", "x" * 30)

    assert cache.get("00000") is None
    assert [cache.get(f"{number:05X}") is not None for number in (46, 47, 48, 49)] == [
        False,
        True,
        True,
        True,
    ]
