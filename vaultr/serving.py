"""What gunicorn's hooks call: addresses, draining, and what must start after a fork."""

import logging
import os
import signal
import threading
from typing import Any

from flask import Flask

from vaultr import draining
from vaultr.database import engine
from vaultr.operations import worker
from vaultr.settings import Settings

_log = logging.getLogger("gunicorn.error")


def address(settings: Settings) -> str:
    """Give the address to listen on."""
    host = settings.bind or "127.0.0.1"
    return host if ":" in host and not host.startswith("[") else f"{host}:{settings.port}"


def greeting(settings: Settings) -> str:
    """Say what is running, and what production needs instead."""
    if settings.production:
        return f"Vaultr (production) on {address(settings)}"
    database = "SQLite" if settings.database_url.get_secret_value().startswith("sqlite") else "SQL"
    return (
        f"Vaultr (development) on {settings.base_url}\n"
        f"  {database}, generated keys and mails (mail/*.eml) are under {settings.vaultr_home}\n"
        "  Production needs VAULTR_ENV=production, DATABASE_URL, REDIS_URL, BASE_URL, SMTP_HOST\n"
        "  and keys of its own: `flask keys generate` prints them, `flask check` tells what lacks."
    )


def drain_on_term(server: Any, seconds: int) -> None:
    """On SIGTERM answer 503 to `/api/ready` at once, but go on listening for ``seconds``.

    gunicorn would close its listeners at once, while whoever sends requests here has not yet
    noticed. ``handle_term`` is a private name of gunicorn's; a test pins it.
    """
    stop = server.handle_term

    def drain(signum: int, frame: Any) -> None:
        if draining.begun():
            stop(signum, frame)
            return
        draining.begin()
        _log.info("Draining for %d s", seconds)
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()

    server.handle_term = drain
    signal.signal(signal.SIGTERM, drain)


def after_fork(app: Flask, settings: Settings) -> None:
    """Leave the master's sockets alone, and start this worker's background thread."""
    engine.after_fork(app)
    if settings.background == "inline":
        worker.start_inline(app)
