"""Clients that do not hang up after their response do not block a worker."""

import contextlib
import http.client
import socket
import time

import pytest
from gunicorn import util
from gunicorn.workers.gthread import TConn

from tests.harness.gunicorn_server import running
from tests.harness.timing import until
from vaultr.api import lingering_close
from vaultr.api.lingering_close import Closer
from vaultr.protocol.sizes import BODY_BYTES

CONNECTIONS = 20
HEAD = (
    "POST /api/v1/auth/prelogin HTTP/1.1\r\nHost: localhost\r\n"
    f"Content-Type: application/json\r\nContent-Length: {2 * BODY_BYTES}\r\n\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("closing")) as server:
        yield server


def test_lingering_clients_do_not_delay_others(server):
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))
            client.sendall(HEAD.encode())
            assert client.recv(9) == b"HTTP/1.1 "

        began = time.monotonic()
        statuses = {server.get("/api/health")[0] for _ in range(5)}

        # gunicorn alone would wait two seconds for each client.
        assert time.monotonic() - began < CONNECTIONS
        assert statuses == {200}


def test_response_arrives_after_large_unread_body(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Content-Type": "application/json"}

    connection.request("POST", "/api/v1/nowhere", b"x" * (8 * BODY_BYTES), headers)
    with connection.getresponse() as response:
        body = response.read()

    assert (response.status, response.getheader("Connection")) == (404, "close")
    assert body.startswith(b"{")
    connection.close()


def test_closer_waits_for_client_up_to_time_limit(monkeypatch):
    monkeypatch.setattr(lingering_close, "LINGER_SECONDS", 0.1)
    closer, (ours, theirs), (late, silent) = Closer(), socket.socketpair(), socket.socketpair()

    for one in (ours, late):
        closer.close(one)
    theirs.sendall(b"x" * 1000)
    theirs.close()

    until(lambda: not closer._waiting)
    assert (ours.fileno(), late.fileno()) == (-1, -1)
    assert silent.recv(1) == b""
    silent.close()


def test_gunicorn_calls_the_replaced_close_function(monkeypatch):
    closed, (ours, theirs) = [], socket.socketpair()
    monkeypatch.setattr(util, "close_graceful", closed.append)
    connection = TConn.__new__(TConn)
    connection.sock = ours

    connection.close(graceful=True)

    assert closed == [ours]
    ours.close()
    theirs.close()
