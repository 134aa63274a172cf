"""Proxies that answer in place of the server, and how long the client waits for it."""

import httpx2
import pytest

from tests.harness.client.scripted_server import Server, answer
from vaultr.client.errors import ServerUnreachable


def test_gateway_error_is_not_a_server_response():
    html = {"Content-Type": "text/html"}
    server = Server(*[lambda: httpx2.Response(502, headers=html, content=b"bad gateway")] * 4)

    with pytest.raises(ServerUnreachable, match="502"):
        server.transport().send("GET", "/x")


def gateway(status, **headers):
    html = {"Content-Type": "text/html"} | headers
    return lambda: httpx2.Response(status, headers=html, content=b"<html>")


def test_retry_after_of_a_gateway_is_respected():
    server = Server(gateway(503, **{"Retry-After": "2"}), gateway(429), answer())

    server.transport().send("GET", "/x")

    assert 2 <= server.waited[0] <= 2.5
    assert server.waited[1] < 1


def test_only_provably_unsent_request_is_retried():
    limited = Server(gateway(429, **{"Retry-After": "1"}), answer())
    limited.transport().send("POST", "/auth/login", {})
    assert len(limited.requests) == 2

    away = Server(gateway(503))
    with pytest.raises(ServerUnreachable, match="503"):
        away.transport().send("POST", "/auth/login", {})
    assert len(away.requests) == 1


def test_retries_stop_after_total_wait_limit():
    server = Server(*[gateway(503, **{"Retry-After": "10"})] * 9)

    with pytest.raises(ServerUnreachable):
        server.transport().send("GET", "/x")

    assert len(server.requests) == 4
    assert sum(server.waited) <= 3 * 10 * 1.25


@pytest.mark.parametrize(
    "text", ["-1", "1e3", "soon", "", "99999999", "Wed, 25 Nov 2026 10:00:00 GMT"]
)
def test_invalid_retry_after_waits_less_than_a_second(text):
    server = Server(gateway(503, **{"Retry-After": text}), answer())

    server.transport().send("GET", "/x")

    assert server.waited[0] < 1


def test_retry_after_waits_are_spread_randomly():
    waits = set()
    for _ in range(8):
        server = Server(gateway(503, **{"Retry-After": "5"}), answer())
        server.transport().send("GET", "/x")
        waits.update(server.waited)

    assert len(waits) == 8
    assert all(5 <= wait <= 6.25 for wait in waits)
