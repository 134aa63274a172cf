"""An account or a client address gets only some of a worker's threads, even if it reads slowly."""

import http.client
import socket
from uuid import uuid4

import pytest

from tests import factories
from tests.harness.gunicorn_server import running
from tests.harness.timing import until
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.settings.model import Settings

ME = "/api/v1/auth/me"
# More than the buffers of a connection can hold.
ITEMS, ITEM_BYTES = 130, 30_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("parallel"), PARALLEL_REQUESTS="1") as server:
        yield server


@pytest.fixture(scope="module")
def vault(server):
    """A vault whose sync has a large page."""
    app = create_app(Settings.from_environ({**server.environ, "LOG_LEVEL": "WARNING"}))
    with app.app_context():
        vault = factories.vault()
        for _ in range(2):
            steps = [("put", uuid4(), "x" * ITEM_BYTES) for _ in range(ITEMS // 2)]
            vault.done(vault.batch_request(*steps))
        vault.other = factories.session(factories.owner("bob@example.org"))
        yield vault
        db.engine.dispose()


def status(server, headers, source="127.0.0.1"):
    """Return status and `Retry-After` of a small request."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", server.port, timeout=60, source_address=(source, 0)
    )
    connection.request("GET", ME, headers=headers)
    with connection.getresponse() as response:
        response.read()
        found = response.status, response.getheader("Retry-After")
    connection.close()
    return found


def test_slow_reader_holds_no_thread_of_others(server, vault):
    bearer = {"Authorization": vault.client.environ_base["HTTP_AUTHORIZATION"]}
    lines = [f"GET {vault.path}/sync?since=0&limit=1000 HTTP/1.1", "Host: localhost"]
    lines += [f"Authorization: {bearer['Authorization']}", "", ""]
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall("\r\n".join(lines).encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 200")

        rejected, served = status(server, bearer), status(server, vault.other.headers)

    assert rejected == (429, "1")
    assert served == (200, None)
    until(lambda: status(server, bearer)[0] == 200)


def test_requests_one_after_another_are_never_rejected(server, vault):
    bearer = {"Authorization": vault.client.environ_base["HTTP_AUTHORIZATION"]}

    statuses = {status(server, headers)[0] for headers in (bearer, {}) for _ in range(50)}

    assert statuses == {200, 401}


def test_address_without_session_has_separate_limit(server):
    head = b"POST /api/v1/auth/prelogin HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as slow:
        slow.sendall(head)
        until(lambda: status(server, {})[0] == 429)

        served = status(server, {}, source="127.0.0.2")

    assert served == (401, None)
