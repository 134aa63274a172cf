"""`/metrics` on its own port: the metrics of all processes of a server.

Each process answers from a separate thread, so that metrics stay available when the threads that
serve requests are overloaded.
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
# Server and worker on one machine often have the same settings, including METRICS_PORT.
ANOTHER: Final = (
    "another process uses it; on the server's machine start `METRICS_PORT={} flask worker`"
)
PATIENCE_SECONDS: Final = 5  # for clients that connect and send nothing
MOST_AT_ONCE: Final = 8
_BACKLOG: Final = 64
_GONE: Final = "gone"  # used as process id for the sum of all ended processes


def text() -> bytes:
    """Return all metrics in Prometheus' text format."""
    where = multiprocess_dir.folder()
    if where is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(_AllFiles(where))
    with multiprocess_dir.lock(where, to_change=False):
        return generate_latest(registry)


class _AllFiles(Collector):
    """prometheus_client's collector, without files that a process has created but not written."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def collect(self) -> Iterable[Metric]:
        merge: Any = MultiProcessCollector.merge
        found: Iterable[Metric] = merge([str(file) for file in _written(self._where, "*.db")])
        return found


def _written(where: Path, pattern: str) -> list[Path]:
    """Return the files that have content: an empty one cannot be read."""
    return [file for file in where.glob(pattern) if file.stat().st_size]


def listen(host: str, port: int) -> socket.socket:
    """Open the port; every process that is forked later shares it.

    :raises OSError: it is in use, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(_BACKLOG)
        # If several processes wake up, one gets the connection.
        listener.setblocking(False)  # noqa: FBT003 - sockets take no keywords here
    except OSError:
        listener.close()
        raise
    return listener


def bind_error(error: OSError, port: int) -> str:
    """Return the reason why a port cannot be opened and, if known, what to do."""
    why = error.strerror or type(error).__name__
    return f"{why}: {ANOTHER.format(port + 1)}" if error.errno == errno.EADDRINUSE else why


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE_SECONDS
    server_version, sys_version = "vaultr", ""

    def do_GET(self) -> None:
        """Send the metrics, or 404 for any other path."""
        known = self.path.partition("?")[0] == PATH
        body = text() if known else b"only /metrics is here\n"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST if known else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - name required by the standard library

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: stdout is the log of the server."""


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
        """Ignore clients that disconnect."""


def serve(listener: socket.socket) -> Callable[[], None]:
    """Serve a port that `listen` opened, in a thread of this process.

    :return: a function that stops the thread; the port stays open for the other processes.
    """
    server = _Listening(listener)
    run = threading.Thread(target=server.serve_forever, name="vaultr-metrics", daemon=True)
    run.start()
    return server.shutdown


def forget_process(process_id: int) -> None:
    """Keep the counts of an ended process, but not its files.

    This adds its sums to the sums of earlier processes, and drops its gauges. Otherwise every
    replaced worker would leave files that each scrape has to read.
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
    sums: Any = MmapedDict(str(target))  # type: ignore[no-untyped-call]  # it has no types
    try:
        for key, value, at, _place in read(str(source)):
            before, then = sums.read_value(key)
            if summed:
                sums.write_value(key, before + value, 0.0)
            elif at >= then:
                sums.write_value(key, value, at)
    finally:
        sums.close()
