"""Bodies over a real socket: chunked, without a length, too short, too long."""

import json

import pytest

from tests.harness.gunicorn_server import running

PATH = "/api/v1/auth/prelogin"
BODY = b'{"email":"ann@example.org"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bodies")) as server:
        yield server


def request(server, *headers, body=BODY, path=PATH, method="POST"):
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Content-Type: application/json",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def status_and_slug(answer):
    """Return status and slug of the problem in the response."""
    head, _, body = answer.partition(b"\r\n\r\n")
    document = json.loads(body)
    assert b"\r\nX-Request-Id: " in head
    return int(head.split()[1]), document["type"].removeprefix("urn:vaultr:problem:")


def length(size=None):
    return f"Content-Length: {len(BODY) if size is None else size}"


def test_body_with_content_length_is_accepted(server):
    assert server.raw(request(server, length())).startswith(b"HTTP/1.1 200 OK")


def test_chunked_body_returns_411(server):
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)

    answer = server.raw(request(server, "Transfer-Encoding: chunked", body=chunks))

    assert status_and_slug(answer) == (411, "length-required")


def test_chunked_body_on_route_without_body_returns_400(server):
    chunked = request(
        server,
        "Transfer-Encoding: chunked",
        body=b"1\r\nx\r\n0\r\n\r\n",
        path="/api/health",
        method="GET",
    )

    assert status_and_slug(server.raw(chunked)) == (400, "bad-request")


def test_missing_body_and_length_returns_411(server):
    assert status_and_slug(server.raw(request(server, body=b""))) == (411, "length-required")


def test_short_body_returns_400_after_sender_finished(server):
    assert status_and_slug(server.raw(request(server, length(1000)))) == (400, "bad-request")


def test_oversized_body_returns_413_before_reading(server):
    assert status_and_slug(server.raw(request(server, length(2**20 + 1)))) == (
        413,
        "payload-too-large",
    )
    assert status_and_slug(server.raw(request(server, length(10**15)))) == (
        413,
        "payload-too-large",
    )


def test_body_is_cut_at_content_length(server):
    answer = server.raw(request(server, length(), body=BODY + b"rest"))

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"],
        ["Content-Length: 27x"],
        ["Content-Length: 27", "Content-Length: 28"],
        ["Content-Length: 27", "Transfer-Encoding: chunked"],
    ],
)
def test_ambiguous_request_never_reaches_the_app(server, headers):
    answer = server.raw(request(server, *headers))

    assert answer.split()[1] in (b"400", b"411")


@pytest.mark.parametrize("path", ["/api/v1/openapi.json?a=\xff", "/api/v1/\xff\xfe"])
def test_raw_bytes_in_path_or_query_return_400(server, path):
    assert server.raw(request(server, path=path, body=b"", method="GET")).split()[1] == b"400"


def test_several_authorization_headers_return_400(server):
    twice = request(server, "Authorization: Bearer a", "Authorization: Bearer b", length())

    assert status_and_slug(server.raw(twice)) == (400, "bad-request")


def test_invalid_request_line_leaves_no_token_in_log(server):
    server.raw(b"GET /verify-email?token=hunter2 HTTP/hunter2\r\n\r\n")
    server.raw(b"G\x00T /verify-email?token=hunter2 HTTP/1.1\r\n\r\n")

    assert "hunter2" not in server.printed()
    assert server.answers()
