"""Gunicorn hooks: listen address, draining, logs, and what must start after a fork."""

import contextlib
import ctypes
import errno
import gc
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from flask import Flask
from gunicorn.glogging import Logger

from vaultr.api import fair_threads, kill_switches, lingering_close, unread_bodies
from vaultr.app_state import AppSlot
from vaultr.audit import service as audit
from vaultr.database import engine
from vaultr.health import service as health
from vaultr.observability import (
    instrumentation,
    logs,
    multiprocess_dir,
    prometheus_endpoint,
    statsd,
)
from vaultr.observability.tracing import spans
from vaultr.ops import database_wait, worker
from vaultr.security import keyring
from vaultr.settings.environment import InvalidSettings
from vaultr.settings.model import Settings
from vaultr.settings.types import host_and_port

_STOP: Final = AppSlot[Callable[[], None]]("worker.stop_inline")
_listeners: list[socket.socket] = []
# Messages whose arguments come from gunicorn itself: addresses, process ids, signals.
_ITS_OWN = (
    "Connection in use",
    "Invalid address",
    "Can't connect to",
    "WORKER TIMEOUT",
    "Worker (",
)
# Blocks of up to this size come from the heap, which keeps as much free memory at its end.
HEAP_BYTES: Final = 32 * 1024 * 1024  # glibc's maximum for M_MMAP_THRESHOLD
_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
SWITCH_SECONDS: Final = 0.001
STALLED_SECONDS: Final = 30  # the time that gunicorn waits for a silent worker


class JsonLog(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Sends gunicorn's messages to the structured log, without any data from clients."""

    def setup(self, cfg: Any) -> None:
        """Pass records on to the root logger, which writes JSON lines."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def critical(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Include the process in the message."""
        super().critical(*_filled(msg, args), **kwargs)

    def error(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Include the address or process in the message."""
        super().error(*_filled(msg, args), **kwargs)

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Leave out the request line, whose query may contain a token."""
        if str(msg).startswith("Invalid request"):
            msg, args = "Invalid request", ()
        super().warning(*_filled(msg, args), **kwargs)


def _filled(msg: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Insert the arguments into gunicorn's own messages; leave them out of all other messages."""
    text = str(msg)
    return (text % args,) if args and text.startswith(_ITS_OWN) else (text, *args)


def address(settings: Settings) -> str:
    """Return the address to listen on; ``BIND`` may be a host, or host and port."""
    host, port = host_and_port(settings.bind or "127.0.0.1")
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{bracketed}:{port or settings.port}"


def greeting(settings: Settings) -> str:
    """Return the start-up message: what is running, and what production needs instead."""
    if settings.production:
        return f"Vaultr (production) listens on {address(settings)}"
    sqlite = settings.database_url.get_secret_value().startswith("sqlite")
    stored = ["SQLite database"] if sqlite else []
    stored += (
        ["generated keys"] if settings.smtp_host else ["generated keys", "emails (mail/*.eml)"]
    )
    limits = "in memory" if settings.redis_url is None else "in Redis"
    return (
        f"Vaultr (development) listens on {address(settings)}: {settings.base_url}\n"
        f"  Under {settings.vaultr_home}: {', '.join(stored)}. Limits are counted {limits}.\n"
        "  Production needs VAULTR_ENV=production, DATABASE_URL, REDIS_URL, BASE_URL, SMTP_HOST\n"
        "  and keys: `flask keys generate` prints them, `flask check` lists missing settings."
    )


def check_port(settings: Settings) -> None:
    """Check in development that the port is free; in production gunicorn waits for it.

    :raises SystemExit: another program listens on it.
    """
    host, _, port = address(settings).rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    if settings.production:
        return
    try:
        socket.create_server((host.strip("[]"), int(port)), family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = int(port) % 65535 + 1
            raise SystemExit(
                f"Another program uses port {port}. Use another one: make run PORT={other}"
            ) from None


def begin(server: Any, settings: Settings) -> None:
    """Prepare the master process once gunicorn listens, and print the start-up message."""
    listen_for_metrics(settings)
    end_stalls(server.LISTENERS)
    drain_on_term(server, settings.drain_seconds)
    if settings.production:
        reload_on_hup(server)
    else:  # otherwise gunicorn would keep running after its terminal is closed
        server.handle_hup = server.handle_int
    if sys.stdout.isatty():  # a log collector expects JSON lines only
        print(greeting(settings), flush=True)  # noqa: T201 - for the person who started it
    logs.event("server.listening", at=[str(one) for one in server.LISTENERS])


def listen_for_metrics(settings: Settings) -> None:
    """Open the port of `/metrics`, which all workers share.

    :raises SystemExit: the port cannot be opened.
    """
    if not settings.metrics_port:
        return
    where = f"{settings.metrics_host}:{settings.metrics_port}"
    if multiprocess_dir.folder() is None:
        logs.warning("metrics.off", reason="neither /dev/shm nor VAULTR_HOME can be written")
        return
    try:
        _listeners.append(prometheus_endpoint.listen(settings.metrics_host, settings.metrics_port))
    except OSError as error:
        why = prometheus_endpoint.bind_error(error, settings.metrics_port)
        raise SystemExit(f"METRICS_PORT: cannot listen on {where}: {why}") from None
    logs.event("metrics.listening", at=where)


def end_stalls(listeners: Iterable[Any], seconds: int = STALLED_SECONDS) -> None:
    """Set timeouts on the listening sockets, so that stalled clients do not occupy threads.

    gunicorn would wait without limit for the rest of a request, or for a client that stops reading
    a response. On Linux accepted sockets inherit a listener's timeouts: an incomplete body then
    gets 400, an incomplete header closes the connection. A client that sends a byte now and then
    can still occupy a thread, so put a buffering proxy in front.
    """
    limit = struct.pack("ll", seconds, 0)
    for listener in listeners:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, limit)


def drain_on_term(server: Any, seconds: int) -> None:
    """On SIGTERM, answer 503 to `/api/ready`, but keep listening for ``seconds``.

    gunicorn alone would close its listeners immediately, while load balancers still send requests.
    ``handle_term`` is a private name of gunicorn's; a test pins it.
    """
    stop = server.handle_term

    def drain() -> None:
        if health.is_draining():  # called by the timer, or by a second signal
            stop()
            return
        health.start_draining()
        logs.event("server.draining", seconds=seconds)
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()

    server.handle_term = drain


def begin_request(received: Any) -> None:
    """Store gunicorn's request, so that a response can close its connection gracefully."""
    unread_bodies.set_received(received)


def take_turns(worker: Any, settings: Settings) -> None:
    """Make a worker's threads serve client addresses in rotation, not connections in order."""
    worker.get_thread_pool = lambda: fair_threads.pool(settings.web_threads, settings)


def after_fork(app: Flask, settings: Settings, *, is_first: bool) -> None:
    """Discard the master's connections, and start this worker's background thread.

    The keys are read again, so that workers get rotated keys by a reload, without an interruption.
    If the database does not respond, the first worker logs that, and all keep trying.
    """
    share_one_heap()
    sys.setswitchinterval(SWITCH_SECONDS)
    lingering_close.replace_closing()
    engine.after_fork(app)
    reload_keys(app)
    gc.freeze()  # Exclude the app's objects from garbage collection; they are never freed.
    statsd.start(settings.statsd_host)
    instrumentation.trace(app, os.environ)
    instrumentation.set_constant_gauges(app)
    kill_switches.watch(app)
    for listener in _listeners:
        prometheus_endpoint.serve(listener)
    if settings.background == "inline":
        _STOP.set(app, worker.start_inline(app, announces=is_first))
    elif is_first:
        database_wait.announce(app)


def share_one_heap() -> None:
    """Make the C library allocate large blocks from one heap for all threads.

    By default glibc has a heap for each thread, which rarely shrinks: workers that sent 16 large
    pages kept 40 MiB each. With mmap for large blocks they kept less, but each hash then waited for
    19 MiB of new pages, which took a sixth of the CPU time of a login. The lock of the heap is
    rarely contended, because most threads wait for the interpreter's lock anyway. Other C libraries
    have no such function.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, HEAP_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, HEAP_BYTES)


def reload_keys(app: Flask) -> None:
    """Load the keys again from the settings; keep the current keys if the new ones are unusable.

    A key file may be half written at this moment, which must not stop a worker from starting.
    """
    try:
        settings = Settings.from_environ(os.environ)
    except InvalidSettings as invalid:
        logs.warning("keys.kept", problems=invalid.problems)
        return
    keyring.init_app(app, settings)


def reload_on_hup(server: Any) -> None:
    """On SIGHUP replace the workers one by one, unless the new ones could not start.

    gunicorn would exit if no worker can start. ``handle_hup`` is a private name of gunicorn's; a
    test pins it.
    """
    replace = server.handle_hup

    def reload() -> None:
        try:
            Settings.from_environ(os.environ)
        except InvalidSettings as invalid:
            logs.warning("reload.refused", problems=invalid.problems)
            return
        logs.event("server.reloading")
        replace()

    server.handle_hup = reload


def before_exit(app: Flask) -> None:
    """Stop this worker's background thread, and store the counts that only this process has."""
    stop = _STOP.clear(app)
    if stop is not None:
        stop()
    with app.app_context():
        audit.stop()
    statsd.stop()
    spans.stop()


def worker_gone(process_id: int) -> None:
    """Keep the counters of a worker that has ended."""
    try:
        prometheus_endpoint.forget_process(process_id)
    except OSError as error:  # a full /dev/shm must not end the master
        logs.failure("metrics.forget.failed", error)


def end() -> None:
    """Remove the metrics folder from memory."""
    multiprocess_dir.remove()
