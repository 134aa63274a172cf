"""Read large bodies: one at a time in a process, and each within a time limit.

Parsing a body above `BODY_BYTES` takes several times its size in memory. So the sender must
authenticate first, waits for a turn, and loses the turn if the body arrives too slowly.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from flask import Flask, request

from vaultr.app_state import AppSlot
from vaultr.errors import Busy
from vaultr.settings.model import Settings

FIRST_BYTES: Final = 4096
PIECE_BYTES: Final = 64 * 1024
_POLL_SECONDS: Final = 0.1
# Set in the WSGI environment: the rest of the body will not arrive, so the connection ends.
STALLED: Final = "vaultr.body_stalled"


class Turns:
    """Lets one request at a time read and parse a large body, and one more wait for it.

    Threads that wait cannot serve others, so any further request is rejected without waiting.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._reading, self._waiting = threading.Lock(), threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Reserve the only slot until the block ends.

        :raises Busy: the slot did not become free in time, or another request is already waiting
            for it.
        """
        if not self._waiting.acquire(blocking=False):
            raise Busy
        try:
            took = self._reading.acquire(timeout=self._wait_seconds)
        finally:
            self._waiting.release()
        if not took:
            raise Busy
        try:
            yield
        finally:
            self._reading.release()


_TURNS: Final = AppSlot[Turns]("api.large_bodies")
_SECONDS: Final = AppSlot[float]("api.large_body_seconds")


def init_app(app: Flask, settings: Settings) -> None:
    """Create the slot for large bodies of ``app``."""
    _TURNS.set(app, Turns(settings.large_body_wait_seconds))
    _SECONDS.set(app, settings.large_body_seconds)


@contextmanager
def turn() -> Iterator[None]:
    """Reserve this process's slot for a large body; see `Turns.turn`."""
    with _TURNS.get().turn():
        yield


def read_first() -> bytes:
    """Read the first bytes of the body, which authenticate the sender."""
    return bytes(_read(FIRST_BYTES))


def read_rest(first: bytes, length: int) -> bytearray:
    """Read the body up to its ``length``; the result is shorter if the sender stalls.

    This reads chunks: a single read of the whole body would hold it in memory twice.
    """
    body = bytearray(first)
    body += _read(length - len(first))
    return body


def _read(length: int) -> bytearray:
    body = bytearray()
    with time_limit(request.environ, _SECONDS.get()), suppress(OSError):
        while len(body) < length:
            piece = request.stream.read(min(PIECE_BYTES, length - len(body)))
            if not piece:
                break
            body += piece
    return body


@contextmanager
def time_limit(environ: dict[str, Any], seconds: float) -> Iterator[None]:
    """End reads of the body after ``seconds``, however slowly the bytes arrive.

    A socket timeout would start again with each byte. So this shuts the socket down for reading:
    reads then return end-of-file, and the response can still be sent.
    """
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is None:
        yield
        return

    def stop() -> None:
        environ[STALLED] = True
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RD)

    with _DEADLINES.watch(seconds, stop):
        yield


class Deadlines:
    """Ends reads that take too long.

    One thread watches all reads, because starting a thread for each would cost 0.3 ms.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[object, tuple[float, Callable[[], None]]] = {}
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, seconds: float, stop: Callable[[], None]) -> Iterator[None]:
        """Call ``stop`` if the block runs longer than ``seconds``, but never after its end."""
        name = object()
        with self._lock:
            self._watched[name] = (time.monotonic() + seconds, stop)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
        self._changed.set()
        try:
            yield
        finally:
            with self._lock:
                self._watched.pop(name, None)

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            while self._watched:
                time.sleep(_POLL_SECONDS)
                self._stop_overdue()

    def _stop_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [name for name, (until, _) in self._watched.items() if until <= now]
            for name in late:
                self._watched.pop(name)[1]()


_DEADLINES: Final = Deadlines()
