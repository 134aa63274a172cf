"""Many connections from one client address do not make other addresses wait for all of them."""

import contextlib
import socket
import threading

from tests.harness.gunicorn_server import running
from tests.harness.timing import until

CONNECTIONS, THREADS = 40, 4
# Rejected after the server waited for a body that never came; this occupies a thread longest.
STALLED = (
    b"POST /api/v1/nowhere HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n{"
)


def test_address_with_many_connections_delays_no_other(tmp_path):
    answered = []

    def wait_for_response(client, number):
        assert client.recv(9) == b"HTTP/1.1 "
        answered.append(number)

    with running(tmp_path, WEB_THREADS=str(THREADS)) as server, contextlib.ExitStack() as stack:
        own = ("127.0.0.66", 0)
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60, own))
            for _ in range(CONNECTIONS)
        ]
        for client in clients:
            client.sendall(STALLED)
        threads = [
            threading.Thread(target=wait_for_response, args=(client, number))
            for number, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        until(lambda: answered)  # so that the others wait for threads

        assert server.get("/api/health")[0] == 200
        before = len(answered)
        for thread in threads:
            thread.join()

    assert len(answered) == CONNECTIONS
    assert before < CONNECTIONS // 2
