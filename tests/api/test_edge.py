"""Checks and headers of every request and response: host, scheme, proxies."""

from contextlib import ExitStack

import pytest

from tests.harness import sample_routes, servers
from tests.harness.security_headers import EVERY, HSTS, PAGE

HTTPS = "https://vault.example.org"
ANSWERS = {
    "/api/v1/small/wanted": 200,
    "/api/v1/small/accepted": 202,
    "/api/v1/small/refused": 409,
    "/api/v1/small/breaks": 500,
    "/api/v1/small/unwritable": 500,
    "/api/v1/small/word": 405,
    "/api/v1/nowhere": 404,
    "/api/v1/auth/me": 401,
    "/api/v1/openapi.json": 200,
    "/api/health": 200,
    "/api/ready": 503,
}


@pytest.fixture(scope="module")
def production_settings(postgres_url, redis_url):
    url = servers.fresh_database(postgres_url)
    yield {
        "VAULTR_ENV": "production",
        "DATABASE_URL": url,
        "REDIS_URL": redis_url,
        "BASE_URL": HTTPS,
        "SMTP_HOST": "localhost",
        "ALLOWED_HOSTS": "Vault.Example.org, other.example.org",
    }
    servers.drop_database(url)


@pytest.fixture
def production(production_settings, tmp_path, flushed_redis):
    with sample_routes.server(tmp_path, **production_settings) as app:
        yield app.test_client()


@pytest.fixture
def behind(production_settings, tmp_path, flushed_redis):
    """``behind(2)``: a production server behind two proxies."""
    with ExitStack() as stack:

        def start(proxies):
            known = {**production_settings, "TRUSTED_PROXIES": str(proxies)}
            return stack.enter_context(sample_routes.server(tmp_path, **known)).test_client()

        yield start


@pytest.fixture
def client(tmp_path):
    with sample_routes.server(tmp_path) as app:
        yield app.test_client()


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


@pytest.mark.parametrize(("path", "status"), ANSWERS.items())
def test_every_response_has_security_headers(production, path, status):
    response = production.get(path, base_url=HTTPS)

    assert response.status_code == status
    assert EVERY.items() <= dict(response.headers).items()
    assert response.headers["Strict-Transport-Security"] == HSTS
    assert len(response.headers.getlist("X-Request-Id")) == 1
    assert response.headers["Cache-Control"] == (
        "private, max-age=300" if path.endswith("openapi.json") else "no-store"
    )


def test_pages_have_page_security_policy(client):
    response = client.get("/api/v1/small/page")

    assert (EVERY | PAGE).items() <= dict(response.headers).items()


def test_plain_http_gets_no_hsts_despite_forged_headers(client):
    plain = client.get("/api/v1/small/wanted")
    forged = client.get("/api/v1/small/wanted", headers={"X-Forwarded-Proto": "https"})

    assert "Strict-Transport-Security" not in plain.headers
    assert "Strict-Transport-Security" not in forged.headers


@pytest.mark.parametrize("forwarded", [{}, {"X-Forwarded-Proto": "https"}])
@pytest.mark.parametrize(("path", "method"), [("/api/v1/small/word", "POST"), ("/", "GET")])
def test_production_rejects_plain_http_without_redirect(production, path, method, forwarded):
    response = production.open(
        path, method=method, base_url="http://vault.example.org", headers=forwarded
    )

    assert (response.status_code, slug(response)) == (403, "https-required")
    assert "Location" not in response.headers


def test_unknown_host_is_reported_before_scheme(production):
    response = production.get("/api/v1/small/wanted", base_url="http://evil.example")

    assert (response.status_code, slug(response)) == (400, "host-unknown")


@pytest.mark.parametrize(
    "host", ["vault.example.org", "VAULT.example.org:443", "other.example.org"]
)
def test_configured_hosts_are_accepted(production, host):
    assert production.get("/api/v1/small/wanted", base_url=f"https://{host}").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "vault.example.org.evil.example", "vault.example.org.", "localhost"),
        *("127.0.0.1", "a b", "x@vault.example.org", "[::1", "vault.example.org:x", "a" * 60),
        *(
            "vault.example.org/",
            "vault.example.org#",
            "vault.example.org\\x",
            "vault\xe9.example.org",
        ),
    ],
    ids=lambda host: host[:30],
)
def test_unknown_host_returns_400_except_for_probes(production, host):
    request = {"environ_overrides": {"HTTP_HOST": host, "wsgi.url_scheme": "https"}}

    response = production.get("/api/v1/small/wanted", **request)

    assert (response.status_code, slug(response)) == (400, "host-unknown")
    assert production.get("/api/health", **request).status_code == 200


def test_probes_respond_over_plain_http_to_any_host(production):
    response = production.get("/api/health", base_url="http://10.1.2.3:3000")

    assert (response.status_code, response.data) == (200, b'{"status":"healthy"}')


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1", "127.9.9.9:80", "[::1]:3000"])
def test_development_accepts_loopback_hosts(client, host):
    provided = {"environ_overrides": {"HTTP_HOST": host}}

    assert client.get("/api/v1/small/wanted", **provided).status_code == 200


def test_development_rejects_names_that_start_like_loopback(client):
    """Otherwise a page of 127.evil.example, whose name points to this machine, could call us."""
    provided = {"environ_overrides": {"HTTP_HOST": "127.evil.example"}}

    assert client.get("/api/v1/small/wanted", **provided).status_code == 400


def address_seen(client, base_url="http://vault.example.org", peer="10.0.0.1", **forwarded):
    """Return the client address that the server sees; None if it rejects the request."""
    sample_routes.called.clear()
    client.get(
        "/api/v1/small/origin",
        base_url=base_url,
        environ_overrides={"REMOTE_ADDR": peer},
        headers={name.replace("_", "-"): value for name, value in forwarded.items()},
    )
    return sample_routes.called[0] if sample_routes.called else None


def test_last_forwarded_values_count_behind_one_proxy(behind):
    client = behind(1)
    real = {"X_Forwarded_For": "6.6.6.6, 192.0.2.7", "X_Forwarded_Proto": "http, https"}

    assert address_seen(client, **real) == "192.0.2.7"
    assert address_seen(client, **real | {"X_Forwarded_Proto": "https, http"}) is None


def test_second_last_forwarded_values_count_behind_two_proxies(behind):
    client = behind(2)
    real = {"X_Forwarded_For": "6.6.6.6, 192.0.2.7, 10.0.0.2", "X_Forwarded_Proto": "https, http"}

    assert address_seen(client, **real) == "192.0.2.7"
    assert address_seen(client, **real | {"X_Forwarded_For": "6.6.6.6"}) == "10.0.0.1"
    assert address_seen(client, **real | {"X_Forwarded_Proto": "https"}) is None


def test_client_cannot_forge_its_address_behind_trusted_proxies(behind):
    client = behind("10.0.0.0/8")
    real = {"X_Forwarded_For": "6.6.6.6, 192.0.2.7, 10.0.0.2", "X_Forwarded_Proto": "https, http"}

    assert address_seen(client, **real) == "192.0.2.7"
    assert address_seen(client, **real | {"X_Forwarded_Proto": "http"}) is None


def test_forwarded_host_header_is_ignored(behind):
    client = behind(1)

    response = client.get(
        "/api/v1/small/wanted",
        base_url="http://evil.example",
        headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "vault.example.org"},
    )

    assert (response.status_code, slug(response)) == (400, "host-unknown")


@pytest.mark.parametrize(
    "header", ["X_Forwarded_For", "X_Real_Ip", "X_Client_Ip", "True_Client_Ip", "Forwarded"]
)
def test_address_headers_are_ignored_without_proxies(production, header):
    forged = {header: "for=6.6.6.6" if header == "Forwarded" else "6.6.6.6"}

    assert address_seen(production, HTTPS, "192.0.2.1", **forged) == "192.0.2.1"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("rubbish", "unknown"),
    ],
)
def test_ipv6_client_is_counted_by_its_64_prefix(client, peer, address):
    assert address_seen(client, "http://localhost", peer) == address


ORIGIN = "https://app.example.org"


@pytest.fixture
def shared(tmp_path):
    with sample_routes.server(
        tmp_path, CORS_ORIGINS=f"{ORIGIN}, https://b.example.org:8443"
    ) as app:
        yield app.test_client()


@pytest.mark.parametrize("origin", [ORIGIN, "https://b.example.org:8443"])
def test_configured_origin_gets_cors_headers(shared, origin):
    requested = shared.options("/api/v1/small/word", headers={"Origin": origin})
    used = shared.get("/api/v1/small/wanted", headers={"Origin": origin})

    assert requested.status_code == 204
    for response in (requested, used):
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example", "http://app.example.org"]
)
def test_unknown_origin_gets_no_cors_headers(shared, client, origin):
    for server in (shared, client):
        response = server.get("/api/v1/small/wanted", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in response.headers
