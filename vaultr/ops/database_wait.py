"""Wait at the start of a process until the database responds."""

import threading
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from flask import Flask

from vaultr.database.session import db
from vaultr.observability import logs
from vaultr.ops.doctor.database import failure_reason

RETRY_SECONDS: Final = 2.0
_STEP_SECONDS: Final = 0.1


def until_reachable(app: Flask, *, is_stopping: Callable[[], bool], is_announced: bool) -> None:
    """Try to reach the database every 2 s, until it responds or the process stops.

    :param is_announced: whether to log once that it does not respond, and once when it does; set
        this in only one of several processes that start together.
    """
    is_waiting = False
    while (reason := _failure(app)) is not None:
        if is_announced and not is_waiting:
            logs.warning("database.unreachable", message=_message(app, reason))
        is_waiting = True
        end = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < end:
            if is_stopping():
                return
            time.sleep(_STEP_SECONDS)
    if is_announced and is_waiting:
        logs.event("database.reached")


def announce(app: Flask) -> None:
    """Log in a thread of this process if the database does not respond at the start."""
    threading.Thread(
        target=until_reachable,
        args=(app,),
        kwargs={"is_stopping": lambda: False, "is_announced": True},
        name="vaultr-database-wait",
        daemon=True,
    ).start()


def _failure(app: Flask) -> str | None:
    """Return why the database cannot be used, or None if it responds."""
    with app.app_context():
        try:
            with db.engine.connect() as connection:
                connection.scalar(sa.text("SELECT 1"))
        except sa.exc.SQLAlchemyError as error:
            return failure_reason(error)
    return None


def _message(app: Flask, reason: str) -> str:
    with app.app_context():
        url = db.engine.url
    place = f"{url.host or 'this machine'}:{url.port or 5432}"
    return (
        f"Cannot use the database at {place}: {reason}. Vaultr keeps trying; until it responds,"
        " requests get 503. Check DATABASE_URL, or run `flask doctor`."
    )
