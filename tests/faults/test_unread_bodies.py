"""Responses sent before their body was read lose no request on a reused connection."""

import http.client
import itertools
import json
import socket
import time

import pytest

from tests import factories
from tests.harness.gunicorn_server import running
from tests.harness.threads import at_once
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.protocol.sizes import BODY_BYTES
from vaultr.settings.model import Settings

CONNECTIONS = 40
PLENTY = "1000000/60"
JSON = {"Content-Type": "application/json"}
# Method, path, headers, bytes, status: each is rejected before its body is read.
EARLY = (
    ("PUT", "/api/v1/auth/profile", JSON, 200_000, 401),
    ("POST", "/api/v1/nowhere", JSON, 200_000, 404),
    ("POST", "/api/v1/auth/prelogin", {"Content-Type": "text/plain"}, 200_000, 415),
    ("POST", "/api/v1/auth/prelogin", JSON, 2 * BODY_BYTES, 413),
    ("GET", "/api/v1/openapi.json", JSON, 200_000, 400),
    ("DELETE", "/api/health", JSON, 200_000, 405),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("unread")
    more = {"LIMIT_ANONYMOUS": PLENTY, "LARGE_BODY_SECONDS": "1", "WEB_THREADS": "8"}
    with running(home, **more) as server:
        yield server


def test_reused_connections_lose_no_request(server, count):
    rounds = count(2, many=13)

    def ask(number):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        chosen = itertools.islice(itertools.cycle(EARLY), number, number + rounds)
        statuses = []
        for method, path, headers, size, status in chosen:
            connection.request(method, path, b"x" * size, headers)
            response = connection.getresponse()
            statuses.append((response.status, status, bool(response.read())))
            connection.request("GET", "/api/health")  # a new connection if the server closed it
            response = connection.getresponse()
            statuses.append((response.status, 200, bool(response.read())))
        connection.close()
        return statuses

    found = [one for part in at_once(ask, CONNECTIONS) for one in part]

    assert len(found) == CONNECTIONS * rounds * 2
    assert {(status, body) for status, expected, body in found if status != expected} == set()
    assert all(body for _, _, body in found)


@pytest.mark.parametrize(("size", "expected"), [(200_000, True), (2 * BODY_BYTES, False)])
def test_response_announces_whether_connection_stays_open(server, size, expected):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/api/v1/auth/prelogin", b"x" * size, {"Content-Type": "text/plain"})

    response = connection.getresponse()

    assert response.status == (415 if expected else 413)
    assert (response.getheader("Connection") == "close") is not expected
    connection.close()


def test_stalled_sender_gets_connection_close_header(server):
    head = (
        f"POST /api/v1/nowhere HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n"
    )

    answer = server.raw(head.encode() + b"x" * 1000, finish=False)

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nConnection: close\r\n" in answer


def vault_of(server):
    """Create a vault with an app on the server's database; return its owner's client."""
    app = create_app(Settings.from_environ(server.environ))
    with app.app_context():
        vault = factories.vault()
        db.engine.dispose()
    return vault


def test_slow_sender_of_large_body_gets_400(server):
    vault = vault_of(server)
    bearer = vault.client.environ_base["HTTP_AUTHORIZATION"]
    head = (
        f"POST {vault.path}/changes HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{server.port}\r\nAuthorization: {bearer}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {2 * BODY_BYTES}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        connection.settimeout(0.1)
        answer, until = b"", time.monotonic() + 60
        while not answer and time.monotonic() < until:
            connection.sendall(b" ")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        connection.settimeout(60)
        while part := connection.recv(65536):
            answer += part

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert "shorter" in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
