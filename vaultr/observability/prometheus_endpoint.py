"""`/metrics` on a port of its own: the numbers of all processes of a server, as Prometheus asks.

Each process of the server answers there from a thread of its own, apart from the threads that
serve requests: what an overloaded server counts is what one wants to see.
"""

import errno
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Metric,
    generate_latest,
)
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from vaultr.observability import multiprocess_dir

PATH: Final = "/metrics"
# Server and worker of one machine often have the same settings, and so the same METRICS_PORT.
ANOTHER: Final = "another process has it; beside a server start `METRICS_PORT={} flask worker`"
PATIENCE_SECONDS: Final = 5  # for who connects and then says nothing
MOST_AT_ONCE: Final = 8
_BACKLOG: Final = 64
_GONE: Final = "gone"  # in place of a process id: the sum of those that have ended


def text() -> bytes:
    """Return all numbers in Prometheus' text format."""
    where = multiprocess_dir.folder()
    if where is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(_AllFiles(where))
    with multiprocess_dir.lock(where, to_change=False):
        return generate_latest(registry)


class _AllFiles(Collector):
    """prometheus_client's own collector, but for files that a process has only just made."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def collect(self) -> Iterable[Metric]:
        merge: Any = MultiProcessCollector.merge
        found: Iterable[Metric] = merge([str(file) for file in _written(self._where, "*.db")])
        return found


def _written(where: Path, pattern: str) -> list[Path]:
    """List the files that hold something: an empty one cannot be read, its maker may be gone."""
    return [file for file in where.glob(pattern) if file.stat().st_size]


def listen(host: str, port: int) -> socket.socket:
    """Open the port; every process that is forked later shares it.

    :raises OSError: it is taken, or no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # of several processes that wake up one gets the connection
    except OSError:
        listener.close()
        raise
    return listener


def hindrance(error: OSError, port: int) -> str:
    """Say why a port cannot be had, and what to do where that is known."""
    why = error.strerror or type(error).__name__
    return f"{why}: {ANOTHER.format(port + 1)}" if error.errno == errno.EADDRINUSE else why


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE_SECONDS
    server_version, sys_version = "vaultr", ""

    def do_GET(self) -> None:
        """Answer with the numbers, and with nothing else whatever is asked."""
        known = self.path.partition("?")[0] == PATH
        body = text() if known else b"only /metrics is here\n"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST if known else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the standard library calls it so

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: stdout is for the log of the server."""


class _Listening(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of who hangs up."""


def serve(listener: socket.socket) -> Callable[[], None]:
    """Answer on a port that `listen` opened, in a thread of this process.

    :return: a function that ends the thread, and leaves the port to the other processes.
    """
    server = _Listening(listener)
    run = threading.Thread(target=server.serve_forever, name="vaultr-metrics", daemon=True)
    run.start()
    return server.shutdown


def forget_process(process_id: int) -> None:
    """Keep what a process that has ended counted, but not its files.

    Its sums are added to those of all that ended before; how it stood at its end counts no more.
    Without this every worker that is replaced would leave files to be read at every question.
    """
    where = multiprocess_dir.folder()
    if where is None:
        return
    with multiprocess_dir.lock(where, to_change=True):
        for file in _written(where, f"*_{process_id}.db"):
            kind = file.stem.rpartition("_")[0]
            if not kind.startswith("gauge_live"):
                _add(file, where / f"{kind}_{_GONE}.db", summed=not kind.startswith("gauge"))
        for file in where.glob(f"*_{process_id}.db"):
            file.unlink()


def _add(source: Path, target: Path, *, summed: bool) -> None:
    read: Any = MmapedDict.read_all_values_from_file
    kept: Any = MmapedDict(str(target))  # type: ignore[no-untyped-call]  # it has no types
    try:
        for key, value, at, _place in read(str(source)):
            before, then = kept.read_value(key)
            if summed:
                kept.write_value(key, before + value, 0.0)
            elif at >= then:
                kept.write_value(key, value, at)
    finally:
        kept.close()
