import json
import tracemalloc

import httpx2
import pytest

from tests.harness.client.scripted_server import JSON, Server, answer
from vaultr.client.errors import (
    AnswerInvalid,
    HeadMoved,
    RateLimited,
    Refused,
    ServerUnreachable,
    Unavailable,
    UsageError,
)
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.origin import origin_of

PROBLEM = {"Content-Type": "application/problem+json"}


def problem(slug, status, **members):
    body = {"type": f"urn:vaultr:problem:{slug}", "title": slug, "status": status} | members
    return lambda: httpx2.Response(status, headers=PROBLEM, content=json.dumps(body))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Vault.Example/", "https://vault.example"),
        ("https://vault.example:443", "https://vault.example"),
        ("https://vault.example:8443", "https://vault.example:8443"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[::1]:3000/", "http://[::1]:3000"),
        ("http://localhost", "http://localhost"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_server_address_is_normalised(url, origin):
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "http://vault.example",
        "http://127.0.0.1.evil.example",
        "https://user:pass@vault.example",
        "https://vault.example/path",
        "https://vault.example/?q",
        "ftp://vault.example",
        "vault.example",
        "https://",
        "https://vault.example:99999",
        "https://vault example",
        "https://vault.example\x00",
        "https://vault.example\\.evil.example",
        "https://vault%2eexample",
        "https://\ud800.example",
        "http://evil.example\\.localhost",
        "http://evil.example%00.localhost",
        "http://evil.example, .localhost",
        "http://[::1]evil.localhost",
        "http://127.1",
        "http://2130706433",
    ],
)
def test_server_address_of_another_form_is_rejected(url):
    with pytest.raises(UsageError):
        origin_of(url)


def test_response_has_status_object_and_etag():
    server = Server(answer(content=b'{"a": 1}', ETag='"7"'))

    found = server.transport().send("PUT", "/x", {"b": "ü"})

    assert (found.status, found.body, found.etag) == (200, {"a": 1}, '"7"')
    (request,) = server.requests
    assert str(request.url) == "https://vault.example/api/v1/x"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.content) == {"b": "ü"}


@pytest.mark.parametrize(
    "odd",
    [
        answer(content=b"[]"),
        answer(content=b'"text"'),
        answer(content=b"{"),
        answer(content=b'{"a":1,"a":2}'),
        answer(content=b'{"a":NaN}'),
        answer(content=b"\xff"),
        answer(content=b'{"a":' + b"[" * 400 + b"]" * 400 + b"}" * 300),
        answer(content=b" " * 1001),
        answer(status=206),
        answer(ETag="W/7"),
        lambda: httpx2.Response(
            200, headers=JSON | {"Content-Encoding": "gzip"}, stream=httpx2.ByteStream(b"{}")
        ),
        lambda: httpx2.Response(200, headers={"Content-Type": "text/html"}, content=b"{}"),
        lambda: httpx2.Response(302, headers={"Location": "https://evil.example/"}),
        lambda: httpx2.Response(404, headers={"Content-Type": "text/html"}, content=b"no"),
        lambda: httpx2.Response(500, headers=JSON, content=b"{}"),
        problem("head-moved", 404),
        lambda: httpx2.Response(
            409, headers=PROBLEM, content=b'{"type":"urn:vaultr:problem:conflict","status":404}'
        ),
        lambda: httpx2.Response(409, headers=PROBLEM, content=b'{"type":"about:x y","status":409}'),
    ],
)
def test_malformed_or_foreign_response_is_invalid(odd):
    server = Server(odd)

    with pytest.raises(AnswerInvalid):
        server.transport().send("GET", "/x")

    assert len(server.requests) == 1, "no further request is sent"


def test_problem_slug_selects_the_error_class():
    server = Server(problem("head-moved", 409, revision=7, head="abc", detail="it\x1b[31m moved"))

    with pytest.raises(HeadMoved) as rejected:
        server.transport().send("POST", "/x", {})

    assert rejected.value.members["revision"] == 7
    assert str(rejected.value) == "The server rejected the request: it [31m moved"


def test_unknown_slug_of_newer_server_is_still_an_error():
    with pytest.raises(Refused) as rejected:
        Server(problem("something-new", 418)).transport().send("GET", "/x")

    assert rejected.value.status == 418


def test_lost_response_is_retried_with_same_bytes_if_safe():
    server = Server(httpx2.ReadError("gone"), httpx2.ReadError("late"), answer())

    server.transport().send("PUT", "/x", {"a": 1}, again=True)

    assert len({request.content for request in server.requests}) == 1
    assert len(server.requests) == 3
    assert server.waited[1] > server.waited[0] > 0


def test_lost_response_is_not_retried_if_unsafe():
    server = Server(httpx2.ReadError("gone"))

    with pytest.raises(ServerUnreachable):
        server.transport().send("POST", "/auth/login", {})

    assert len(server.requests) == 1


def test_unreachable_server_is_reported_after_few_tries():
    server = Server(*[httpx2.ConnectError("refused")] * 9)

    with pytest.raises(ServerUnreachable, match=r"vault\.example"):
        server.transport().send("GET", "/x")

    assert len(server.requests) == 4


def test_retry_waits_for_retry_after():
    limited = problem("rate-limited", 429)

    def for_three_seconds():
        response = limited()
        response.headers["Retry-After"] = "3"
        return response

    server = Server(for_three_seconds, problem("busy", 503), answer())

    server.transport().send("POST", "/x", {})

    assert 3 <= server.waited[0] <= 4
    assert server.waited[1] < 1


def test_too_long_wait_is_reported_immediately():
    def for_an_hour():
        return httpx2.Response(
            429,
            headers=PROBLEM | {"Retry-After": "3600"},
            content=b'{"type":"urn:vaultr:problem:rate-limited","status":429}',
        )

    server = Server(for_an_hour)

    with pytest.raises(RateLimited) as rejected:
        server.transport().send("GET", "/x")

    assert rejected.value.members["retry_after"] == 3600
    assert server.waited == []


@pytest.mark.parametrize("slug", ["switched-off", "locked"])
def test_error_that_waiting_cannot_fix_is_reported_immediately(slug):
    server = Server(problem(slug, 503 if slug == "switched-off" else 429))

    with pytest.raises((Unavailable, RateLimited)):
        server.transport().send("GET", "/x")

    assert server.waited == []


def test_server_text_is_quoted_as_server_text():
    server = Server(problem("conflict", 409, detail="Log in at https://evil.example"))

    with pytest.raises(Refused) as rejected:
        server.transport().send("GET", "/x")

    assert str(rejected.value) == "The server rejected the request: Log in at https://evil.example"
    assert rejected.value.detail == "Log in at https://evil.example"


MIB = 1 << 20


@pytest.mark.parametrize("cookie", ["a=b; Path=/", "a=b; Domain=vault.example", "a=\xe6; Path=/"])
def test_cookies_are_ignored(cookie):
    # With bytes above 127, a cookie would also prevent all following requests.
    headers = [*JSON.items(), (b"Set-Cookie", cookie.encode("latin-1"))]
    answers = [lambda: httpx2.Response(200, headers=headers, content=b"{}")] * 2
    server = Server(*answers)
    transport = server.transport()

    transport.send("GET", "/x")
    transport.send("GET", "/x")

    assert [request.headers.get("Cookie") for request in server.requests] == [None, None]


@pytest.mark.parametrize(("path", "mib"), [
    ("/auth/prelogin", 2), ("/auth/me", 2), ("/vaults/v/rotation", 2), ("/vaults/v/items/i", 2),
    ("/vaults/v/sync?since=0&limit=1000", 32), ("/vaults?limit=200", 32),
    ("/vaults/v/items/i/versions/7", 32), ("/auth/recover/start", 32),
])  # fmt: skip
def test_response_size_is_limited_by_route(path, mib):
    def padded(size):
        return lambda _: answer(content=b'{"a":"' + b"j" * (size - 8) + b'"}')()

    def requested(size):
        carrier = httpx2.MockTransport(padded(size))
        return Transport("https://vault.example", transport=carrier).send("GET", path)

    assert requested(mib * MIB).size == mib * MIB
    with pytest.raises(AnswerInvalid, match=f"over {mib * MIB} bytes"):
        requested(mib * MIB + 1)


@pytest.mark.parametrize("part", [b"{},", b"[],", b"1,", b'{"a":{"b":1}},'])
def test_small_response_uses_little_memory(part):
    content = b'{"a":[' + part * (16 * MIB // len(part)) + b"0]}"
    carrier = httpx2.MockTransport(lambda _: answer(content=content)())
    transport = Transport("https://vault.example", transport=carrier)

    tracemalloc.start()
    try:
        with pytest.raises(AnswerInvalid, match="values"):
            transport.send("GET", "/vaults?limit=200")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 3 * len(content)
