"""What gunicorn's hooks call: addresses, draining, its log, and what must start after a fork."""

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

from vaultr.api import kill_switches
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
from vaultr.ops import worker
from vaultr.security import keyring
from vaultr.settings.model import InvalidSettings, Settings

_STOP: Final = AppSlot[Callable[[], None]]("worker.stop_inline")
_listeners: list[socket.socket] = []
# What gunicorn says with arguments of its own: addresses, ids of processes, signals.
_ITS_OWN = (
    "Connection in use",
    "Invalid address",
    "Can't connect to",
    "WORKER TIMEOUT",
    "Worker (",
)
STALLED_SECONDS: Final = 30  # as long as gunicorn waits for a silent worker


class JsonLog(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Sends what gunicorn has to say the way of all other logs, without what a client sent."""

    def setup(self, cfg: Any) -> None:
        """Hand records on to the root, which writes them as JSON lines."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def critical(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Name the process that it is about."""
        super().critical(*_filled(msg, args), **kwargs)

    def error(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Name the address or the process that it is about."""
        super().error(*_filled(msg, args), **kwargs)

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Leave out the request line, whose query may hold a token."""
        if str(msg).startswith("Invalid request"):
            msg, args = "Invalid request", ()
        super().warning(*_filled(msg, args), **kwargs)


def _filled(msg: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Put the arguments into the text where they are gunicorn's own: others are never written."""
    text = str(msg)
    return (text % args,) if args and text.startswith(_ITS_OWN) else (text, *args)


def address(settings: Settings) -> str:
    """Return the address to listen on; ``BIND`` may be a host, or a host with its port."""
    host = settings.bind or "127.0.0.1"
    if host.count(":") > 1 and not host.startswith("["):
        host = f"[{host}]"
    return host if host.rpartition("]")[2].count(":") else f"{host}:{settings.port}"


def greeting(settings: Settings) -> str:
    """Say what is running, and what production needs instead."""
    if settings.production:
        return f"Vaultr (production) listens on {address(settings)}"
    sqlite = settings.database_url.get_secret_value().startswith("sqlite")
    kept = ["SQLite database"] if sqlite else []
    kept += ["generated keys"] if settings.smtp_host else ["generated keys", "mails (mail/*.eml)"]
    limits = "in memory" if settings.redis_url is None else "in Redis"
    return (
        f"Vaultr (development) listens on {address(settings)}: {settings.base_url}\n"
        f"  Under {settings.vaultr_home}: {', '.join(kept)}. Limits are counted {limits}.\n"
        "  Production needs VAULTR_ENV=production, DATABASE_URL, REDIS_URL, BASE_URL, SMTP_HOST\n"
        "  and keys of its own: `flask keys generate` prints them, `flask check` tells what lacks."
    )


def begin(server: Any, settings: Settings) -> None:
    """Do what must be done once gunicorn listens, and greet who started it."""
    listen_for_metrics(settings)
    end_stalls(server.LISTENERS)
    drain_on_term(server, settings.drain_seconds)
    if settings.production:
        reload_on_hup(server)
    else:  # gunicorn would go on after its terminal is closed
        server.handle_hup = server.handle_int
    if sys.stdout.isatty():  # a log collector reads JSON lines only
        print(greeting(settings), flush=True)  # noqa: T201 - for the person who started it
    logs.event("server.listening", at=[str(one) for one in server.LISTENERS])


def listen_for_metrics(settings: Settings) -> None:
    """Open the port of `/metrics`, which all workers then share.

    :raises SystemExit: the port cannot be had.
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
    """Let nobody hold a thread for ever who sends half a request, or reads half an answer.

    gunicorn waits for either without limit. Linux hands a listener's time limits on to what it
    accepts: half a body is then 400, half a head the end of the connection. Who sends a byte now
    and then can still wait long, so a buffering proxy belongs in front.
    """
    limit = struct.pack("ll", seconds, 0)
    for listener in listeners:
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            listener.setsockopt(socket.SOL_SOCKET, option, limit)


def drain_on_term(server: Any, seconds: int) -> None:
    """On SIGTERM answer 503 to `/api/ready` at once, but go on listening for ``seconds``.

    gunicorn would close its listeners at once, while whoever sends requests here has not yet
    noticed. ``handle_term`` is a private name of gunicorn's; a test pins it.
    """
    stop = server.handle_term

    def drain() -> None:
        if health.is_draining():  # by the timer, or by someone in a hurry
            stop()
            return
        health.start_draining()
        logs.event("server.draining", seconds=seconds)
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()

    server.handle_term = drain


def after_fork(app: Flask, settings: Settings) -> None:
    """Leave the master's sockets alone, and start this worker's background thread.

    The keys are read anew, so that a reload brings rotated ones to workers without an interruption.
    """
    engine.after_fork(app)
    read_keys_anew(app)
    statsd.start(settings.statsd_host)
    instrumentation.trace(app, os.environ)
    instrumentation.set_constant_gauges(app)
    kill_switches.watch(app)
    for listener in _listeners:
        prometheus_endpoint.serve(listener)
    if settings.background == "inline":
        _STOP.set(app, worker.start_inline(app))


def read_keys_anew(app: Flask) -> None:
    """Take the keys that the settings name now; keep those that are known if they cannot be used.

    A file may be half changed just now, and a worker that is replaced must not end for that.
    """
    try:
        settings = Settings.from_environ(os.environ)
    except InvalidSettings as invalid:
        logs.warning("keys.kept", problems=invalid.problems)
        return
    keyring.init_app(app, settings)


def reload_on_hup(server: Any) -> None:
    """On SIGHUP replace the workers one by one, but not when the new ones could not start.

    gunicorn would end with its last worker. ``handle_hup`` is a private name of gunicorn's; a test
    pins it.
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
    """End this worker's background thread, and record what only this process knows."""
    stop = _STOP.clear(app)
    if stop is not None:
        stop()
    with app.app_context():
        audit.stop()
    statsd.stop()
    spans.stop()


def worker_gone(process_id: int) -> None:
    """Keep what a worker counted, however it ended."""
    try:
        prometheus_endpoint.forget_process(process_id)
    except OSError as error:  # a full /dev/shm must not end the master
        logs.failure("metrics.forget.failed", error)


def end() -> None:
    """Leave nothing behind in memory."""
    multiprocess_dir.remove()
