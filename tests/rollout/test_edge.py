"""The TLS edge: nginx as compose starts it, in front of a real server."""

import json
import re
import socket
import ssl
import time

import pytest

from tests.harness.security_headers import EVERY, HSTS
from tests.rollout import tools
from tests.rollout.compose_processes import HOST, Site

SECURITY_HEADERS = {**EVERY, "Cache-Control": "no-store", "Strict-Transport-Security": HSTS}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge")
    folder.chmod(0o755)
    with Site(folder) as site:
        site.start("app1", WEB_CONCURRENCY="2", WEB_THREADS="4")
        site.https, site.http = site.edge()
        yield site


def _handshake(site, version, *, old=False):
    context = ssl.create_default_context(cafile=str(site.secrets / "tls.crt"))
    if old:
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    plain = socket.create_connection(("127.0.0.1", site.https), timeout=5)
    with plain, context.wrap_socket(plain, server_hostname=HOST) as secure:
        return secure.version()


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated")
def test_tls_1_1_is_rejected_and_newer_versions_accepted(site):
    assert _handshake(site, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert _handshake(site, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        _handshake(site, ssl.TLSVersion.TLSv1_1, old=True)


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated")
def test_tls_1_1_handshake_succeeds_where_allowed(site):
    """Show that the edge rejects the old version, not this client."""

    def allow_old_tls(text):
        text = text.replace("TLSv1.2 TLSv1.3;", "TLSv1.1 TLSv1.2 TLSv1.3;")
        return re.sub(r"ssl_ciphers .*;", "ssl_ciphers ALL:@SECLEVEL=0;", text)

    https, _ = site.edge("old-tls", change=allow_old_tls)
    before, site.https = site.https, https
    try:
        assert _handshake(site, ssl.TLSVersion.TLSv1_1, old=True) == "TLSv1.1"
    finally:
        site.https = before
        site.stop("old-tls")


def test_plain_http_to_api_is_rejected_without_redirect(site):
    status, body, headers = site.ask(site.http, "/api/v1/auth/prelogin", method="POST", body={})

    assert status == 403
    assert headers["Cache-Control"] == "no-store"
    assert json.loads(body)["type"] == "urn:vaultr:problem:https-required"


def test_plain_http_page_request_redirects_to_https(site):
    status, _, headers = site.ask(site.http, "/verify-email?token=abc")

    assert status == 308
    assert headers["Location"] == f"https://{HOST}/verify-email?token=abc"


def test_www_redirects_to_the_apex_name(site):
    status, _, headers = site.ask(
        site.https, "/verify-email?x=1", scheme="https", headers={"Host": f"www.{HOST}"}
    )

    assert status == 308
    assert headers["Location"] == f"https://{HOST}/verify-email?x=1"


@pytest.mark.parametrize("host", ["evil.example", "www.evil.example", f"{HOST}.evil.example"])
def test_unknown_host_is_not_redirected(site, host):
    plain = site.ask(site.http, "/verify-email", headers={"Host": host})
    secure = site.ask(site.https, "/verify-email", scheme="https", headers={"Host": host})

    assert plain[0] == 404
    assert secure[0] == 400
    assert "Location" not in plain[2]
    assert "Location" not in secure[2]


def test_response_has_each_security_header_once(site):
    _, _, headers = site.ask(site.https, "/api/v1/vaults", scheme="https")

    for name, value in SECURITY_HEADERS.items():
        assert headers.get_all(name) == [value], name
    assert len(headers.get_all("X-Request-Id")) == 1


@pytest.mark.parametrize(
    ("path", "more", "status", "slug"),
    [
        ("/api/v1/vaults", {"X-Long": "a" * 20_000}, 400, "bad-request"),
        ("/api/v1/auth/login", {"Content-Length": "99999999"}, 413, "payload-too-large"),
        (f"/{'a' * 20_000}", {}, 414, "bad-request"),
    ],
)
def test_proxy_errors_are_problems_with_security_headers(site, path, more, status, slug):
    answer = _raw(site, _head("POST" if "Content-Length" in more else "GET", path, more))
    head, _, body = answer.partition(b"\r\n\r\n")

    assert f" {status} ".encode() in head.split(b"\r\n")[0]
    assert json.loads(body)["type"] == f"urn:vaultr:problem:{slug}"
    assert b"application/problem+json" in head
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}".encode() in head
    assert b"gunicorn" not in head
    assert not re.search(rb"nginx/\d", head)


def test_proxy_without_server_returns_503_with_retry_after(site):
    site.ports["app-away"] = 1
    https, _ = site.edge("without-server", backends=["app-away"])

    status, body, headers = site.ask(https, "/api/v1/vaults", scheme="https")

    assert status == 503
    assert json.loads(body)["type"] == "urn:vaultr:problem:unavailable"
    assert headers["Retry-After"] == "2"
    site.stop("without-server")
    del site.ports["app-away"]


def test_forged_headers_do_not_evade_login_rate_limit(site):
    """Forging a different address each time allows no further attempts."""
    rejected = []
    for number in range(30):
        forged = {
            "X-Forwarded-For": f"10.9.{number}.1", "X-Forwarded-Proto": "http",
            "X-Forwarded-Host": "evil.example", "Forwarded": f"for=10.8.{number}.1;host=x.example",
            "X-Real-IP": f"10.7.{number}.1", "Script-Name": "/evil",
        }  # fmt: skip
        body = {
            "email": f"someone-{number}@example.org",
            "auth_key": "A" * 43,
            "device": {"id": "00000000-0000-4000-8000-000000000001", "name": "x"},
        }
        status, _, _ = site.ask(
            site.https,
            "/api/v1/auth/login",
            method="POST",
            body=body,
            scheme="https",
            headers=forged,
        )
        rejected.append(status)

    assert rejected[:20] == [401] * 20  # LIMIT_LOGIN_ADDRESS
    assert rejected[20:] == [429] * 10


def test_no_token_is_written_to_any_log(site):
    token = "tOkEn-tHaT-nO-lOg-mAy-hOlD"

    site.ask(site.https, f"/verify-email?token={token}", scheme="https")
    site.ask(
        site.https, "/api/v1/vaults", scheme="https", headers={"Authorization": f"Bearer {token}"}
    )
    site.ask(site.http, f"/verify-email?token={token}")
    _raw(site, _head("GET", f"/verify-email?token={token}", {"X-Long": "a" * 20_000}))
    time.sleep(0.3)

    logs = [path for path in site.folder.iterdir() if path.suffix in {".access", ".errors", ".out"}]
    assert sum(path.stat().st_size for path in logs) > 1000
    assert [path.name for path in logs if token in path.read_text()] == []
    lines = (site.folder / "edge.access").read_text().splitlines()
    assert any(json.loads(line)["path"] == "/verify-email" for line in lines)


def test_request_id_is_the_same_in_proxy_and_server(site):
    status, body, headers = site.ask(
        site.https, "/api/v1/vaults", scheme="https", headers={"X-Request-Id": "from-my-client.1"}
    )
    _, _, invalid_id = site.ask(
        site.https, "/api/v1/vaults", scheme="https", headers={"X-Request-Id": "a b\tc"}
    )

    assert status == 401
    assert headers["X-Request-Id"] == json.loads(body)["request_id"] == "from-my-client.1"
    assert re.fullmatch(r"[0-9a-f]{32}", invalid_id["X-Request-Id"])
    line = next(
        line
        for line in (site.folder / "edge.access").read_text().splitlines()
        if "from-my-client.1" in line
    )
    assert json.loads(line)["status"] == 401


def test_slow_requests_occupy_no_server_thread(site):
    """Eight threads serve; sixty clients each send half a request."""
    body = b'{"email": '
    head = _head(
        "POST",
        "/api/v1/auth/prelogin",
        {"Content-Length": "5000", "Content-Type": "application/json"},
    )
    slow = [_connected(site) for _ in range(60)]
    try:
        for connection in slow:
            connection.sendall(head + body)
        began = time.monotonic()
        answers = [site.ask(site.https, "/api/v1/vaults", scheme="https")[0] for _ in range(20)]

        assert answers == [401] * 20
        assert time.monotonic() - began < 5
    finally:
        for connection in slow:
            connection.close()


def test_caching_proxy_stores_no_api_response(site):
    """It stores what the origin allows, so a second request must go to the origin again."""

    def caching(text):
        cache = (
            f"proxy_cache_path {site.folder}/cache keys_zone=k:1m;\n"
            "map $upstream_cache_status $cached { default $upstream_cache_status; }\n"
        )
        text = text.replace(
            "add_header Retry-After",
            "add_header X-Cache $cached always;\n    add_header Retry-After",
        )
        inside = "proxy_cache k; proxy_cache_valid any 10m; proxy_cache_key $request_uri;"
        return cache + text.replace(
            "proxy_pass http://vaultr;", f"proxy_pass http://vaultr; {inside}"
        )

    https, _ = site.edge("caching", change=caching)
    paths = ["/api/health", "/api/ready", "/api/v1/vaults", "/api/v1/nothing", "/api/v1/auth/me"]
    for path in paths:
        seen = [site.ask(https, path, scheme="https")[2]["X-Cache"] for _ in range(3)]
        assert seen == ["MISS"] * 3, path
    site.stop("caching")


def test_nginx_configuration_check_prints_no_warning(site):
    done = tools.run("nginx", "-t", "-p", str(site.folder / "edge"), "-c", "nginx.conf")

    assert done.returncode == 0
    assert "warn" not in done.stderr


def _head(method, path, more):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _connected(site):
    context = ssl.create_default_context(cafile=str(site.secrets / "tls.crt"))
    plain = socket.create_connection(("127.0.0.1", site.https), timeout=10)
    return context.wrap_socket(plain, server_hostname=HOST)


def _raw(site, data):
    with _connected(site) as connection:
        connection.sendall(data)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except (ConnectionResetError, ssl.SSLError):
            pass
        return answer
