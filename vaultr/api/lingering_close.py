"""Close connections gracefully, in a thread that handles no requests.

If a request was not read completely, its connection must stay open for a moment after the response:
data that arrives at a closed socket makes the kernel reset the connection, and the client may lose
the response. gunicorn waits for up to two seconds in the thread that accepts connections and hands
out requests, so a few clients that do not hang up would block a worker. Here one separate thread
waits for all connections.
"""

import selectors
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gunicorn import util

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 32 * 1024 * 1024
# While this many connections wait, further ones are closed immediately.
MOST_CONNECTIONS: Final = 1000
_PIECE_BYTES: Final = 64 * 1024
_POLL_SECONDS: Final = 0.1


@dataclass(slots=True)
class _Waiting:
    """When to close a connection, and how many bytes may still arrive."""

    until: float
    left: int = LINGER_BYTES


class Closer:
    """Discards data that arrives after the response, until the client hangs up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[socket.socket, _Waiting] = {}
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._buffer = bytearray(_PIECE_BYTES)

    def close(self, connection: socket.socket, *_: object) -> None:
        """Send the end of the response and close the connection soon, without blocking."""
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.setblocking(False)  # noqa: FBT003 - sockets take no keywords here
            hung_up = connection.recv(1) == b""
        except BlockingIOError:
            hung_up = False
        except OSError:
            hung_up = True
        with self._lock:
            if hung_up or len(self._waiting) >= MOST_CONNECTIONS:
                _close(connection)
                return
            self._waiting[connection] = _Waiting(time.monotonic() + LINGER_SECONDS)
            self._selector.register(connection, selectors.EVENT_READ)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="closer", daemon=True)
                self._thread.start()
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            while self._waiting:
                for key, _ in self._selector.select(_POLL_SECONDS):
                    self._read(key.fileobj)  # type: ignore[arg-type]  # only sockets are registered
                self._end_overdue()

    def _read(self, connection: socket.socket) -> None:
        try:
            size = connection.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        waiting = self._waiting[connection]
        waiting.left -= size
        if size == 0 or waiting.left <= 0:
            self._end(connection)

    def _end_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [one for one, waiting in self._waiting.items() if waiting.until <= now]
        for connection in late:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        with self._lock:
            del self._waiting[connection]
            self._selector.unregister(connection)
        _close(connection)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.close()


def replace_closing() -> None:
    """Make gunicorn use a `Closer` of this process to close connections.

    ``close_graceful`` is a private name of gunicorn's; a test pins it.
    """
    util.close_graceful = Closer().close
