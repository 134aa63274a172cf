"""A load: connections that send one request after another, and their results.

The load runs in a separate process. It reopens connections regularly: an open connection stays with
the worker that accepted it, so with a few long-lived connections the result would depend on how
they happen to be distributed over the workers.
"""

import contextlib
import itertools
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import psutil

REQUESTS_A_CONNECTION = 40
# If set, the seconds of a load are the servers' CPU seconds, so other programs have less influence.
BY_CPU = threading.Event()

Follow = Callable[[bytes], bytes]


@dataclass
class Seen:
    """The result of a load: responses by status, and their durations in seconds."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    def rate(self, *statuses: int) -> float:
        """Return the responses per second, with these statuses or with any."""
        wanted = statuses or tuple(self.statuses)
        return sum(self.statuses.get(status, 0) for status in wanted) / self.seconds

    def p99(self) -> float:
        """Return the seconds within which 99 % of the responses arrived."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Write one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Connection:
    """One open connection, reopened after some requests.

    :param client: the address of the client, of 127.0.0.0/8.
    """

    def __init__(self, port: int, client: str = "127.0.0.1") -> None:
        self._port = port
        self._client = client
        self._socket: socket.socket | None = None
        self._left = 0
        self._buffer = b""

    def ask(self, data: bytes) -> tuple[int, bytes]:
        """Send one request; return status and body."""
        if self._socket is None or self._left == 0:
            self.close()
            self._socket = socket.create_connection(
                ("127.0.0.1", self._port), 60, source_address=(self._client, 0)
            )
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._left, self._buffer = REQUESTS_A_CONNECTION, b""
        self._left -= 1
        self._socket.sendall(data)
        head, _, rest = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        length = _header(head, b"content-length")
        while len(rest) < length:
            rest += self._more(max(65536, length - len(rest)))
        if _closes(head):
            self._left = 0
        return int(head[9:12]), rest[:length]

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            data += self._more(65536)
        return data

    def _more(self, most: int) -> bytes:
        assert self._socket is not None
        data = self._socket.recv(most)
        if not data:
            raise ConnectionError("the server hung up")
        return data


def _header(head: bytes, name: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(name + b":"):
            return int(line.split(b":")[1])
    return 0


def _closes(head: bytes) -> bool:
    return b"connection: close" in head.lower()


def run(
    port: int,
    requests: Sequence[Sequence[bytes]],
    *,
    seconds: float | None,
    follow: Follow | None = None,
    clients: Sequence[str] = (),
) -> Seen:
    """Run each connection's ``requests``: repeatedly for ``seconds``, or once if it is None.

    :param follow: creates each further request of a connection from the previous response; it must
        be a function of a module, because it is sent to another process.
    :param clients: the address of each connection; by default all have the same.
    """
    before = _cpu_seconds()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        seen: Seen = pool.apply(_run, (port, requests, seconds, follow, clients))
    if BY_CPU.is_set():
        seen.seconds = _cpu_seconds() - before
    return seen


def _cpu_seconds() -> float:
    """Sum the CPU seconds of all servers, without the load's own process."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])  # own CPU time, and that of ended children
    return total


def _run(
    port: int,
    requests: Sequence[Sequence[bytes]],
    seconds: float | None,
    follow: Follow | None,
    clients: Sequence[str],
) -> Seen:
    seen = Seen()
    lock = threading.Lock()
    began = time.monotonic()
    connections = itertools.zip_longest(map(partial(Connection, port), clients), requests)
    threads = [
        threading.Thread(
            target=_connection, args=(each or Connection(port), own, seconds, seen, lock, follow)
        )
        for each, own in connections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.seconds = time.monotonic() - began
    return seen


def _connection(
    connection: Connection,
    own: Sequence[bytes],
    seconds: float | None,
    seen: Seen,
    lock: threading.Lock,
    follow: Follow | None,
) -> None:
    statuses: dict[int, int] = {}
    latencies = []
    following: bytes | None = None
    end = None if seconds is None else time.monotonic() + seconds
    for one in own if end is None else itertools.cycle(own):
        if end is not None and time.monotonic() >= end:
            break
        data = one if following is None else following
        began = time.perf_counter()
        status, answer = connection.ask(data)
        latencies.append(time.perf_counter() - began)
        statuses[status] = statuses.get(status, 0) + 1
        following = follow(answer) if follow else None
    connection.close()
    with lock:
        seen.latencies += latencies
        for status, number in statuses.items():
            seen.statuses[status] = seen.statuses.get(status, 0) + number


def with_background(action: Callable[[], Seen], other: Callable[[], object]) -> Seen:
    """Run ``action`` while ``other`` continues in another thread."""
    thread = threading.Thread(target=other)
    thread.start()
    time.sleep(0.5)  # until `other` has started
    result = action()
    thread.join()
    return result
