"""A client that disconnects during a request causes no error; a slow one occupies no thread."""

import socket
import struct
import time
from pathlib import Path

import pytest

from tests.harness.gunicorn_server import running
from tests.harness.threads import at_once
from tests.harness.timing import quickest, until
from vaultr import gunicorn_hooks

HALF_A_HEAD = b"GET /api/v1/auth/me HTTP/1.1\r\nHost: localhost\r\n"
HALF_A_BODY = (
    b"POST /api/v1/auth/prelogin HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
)


HALF_A_FORM = (
    b"POST /verify-email HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ntoken"
)


def is_read(connection):
    """Return whether the server has read everything that was sent, according to Linux."""
    ours, theirs = (one[1] for one in (connection.getsockname(), connection.getpeername()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if (port_of(local), port_of(remote)) == (theirs, ours):
            return int(queues.partition(":")[2], 16) == 0
    return False


def port_of(address):
    return int(address.partition(":")[2], 16)


def test_client_hanging_up_in_body_is_not_a_server_error(tmp_path):
    with running(tmp_path) as server:
        for half in (HALF_A_BODY, HALF_A_FORM):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(half)
                # From then on a thread waits for the rest.
                until(lambda connection=connection: is_read(connection))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        until(lambda: len(server.logged("request")) == 2)

        assert [line["status"] for line in server.logged("request")] == [400, 400]
        assert server.logged("request.failed") == []


@pytest.mark.long
def test_read_from_silent_connection_times_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gunicorn_hooks.end_stalls([listener], seconds=1)

        def wait():
            with socket.create_connection(listener.getsockname()):
                accepted, _ = listener.accept()
                began = time.monotonic()
                with accepted, pytest.raises(BlockingIOError):
                    accepted.recv(1)
                assert time.monotonic() - began > 0.9

        assert quickest(wait, within=5) < 5


@pytest.mark.long
def test_stalled_requests_end_and_next_client_is_served(tmp_path):
    with running(tmp_path) as server:
        # More than the number of threads.
        answers = at_once(
            lambda number: _stalled(server, (HALF_A_HEAD, HALF_A_BODY)[number % 2]), 20
        )

        assert server.get("/api/health")[0] == 200

    assert {answer[:12] for answer in answers} == {b"", b"HTTP/1.1 400"}


def _stalled(server, sent):
    """Send this and nothing more; return what arrives before the server closes the connection."""
    limit = 3 * gunicorn_hooks.STALLED_SECONDS
    with socket.create_connection(("127.0.0.1", server.port), timeout=limit) as connection:
        connection.sendall(sent)
        return connection.recv(4096)
