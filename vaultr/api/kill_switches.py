"""Kill switches: features that an operator turns off at run time, within seconds."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from flask import Flask, request
from sqlalchemy.orm import Mapped, mapped_column

from vaultr import clock
from vaultr.api.contract import PROBE_PATHS
from vaultr.app_state import AppSlot
from vaultr.database import engine
from vaultr.database.base import Base
from vaultr.database.session import one_statement, transaction
from vaultr.errors import Unavailable
from vaultr.observability import metrics
from vaultr.settings.model import Settings

NAMES: Final = ("signup", "writes", "machines", "maintenance")
MAX_AGE_SECONDS: Final = 2.0  # maximum age of the switches that a process has cached
READ_SECONDS: Final = 0.5  # how long a request waits while the switches are read again
RETRY_AFTER_SECONDS: Final = 60  # Retry-After of a rejected request
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNING_UP: Final = frozenset({
    "auth.resend_verification", "auth.sign_up", "auth.verify_email", "web.confirm_email",
})  # fmt: skip
# Operations that write but must work while writes are off: log in, log out, and stop an intruder.
# A new operation counts as a write until it is listed here.
WRITES_ALLOWED_READ_ONLY: Final = frozenset({
    "auth.cancel_recovery", "auth.cancel_recovery_by_token", "auth.login", "auth.logout",
    "auth.logout_all", "auth.prelogin", "auth.refresh", "auth.revoke_session", "auth.step_up",
    "auth.undo_email_change", "web.press_cancel_recovery", "web.press_undo_change",
})  # fmt: skip
# `authentication` accepts any white space after "bearer", so this does too.
_MACHINE: Final = re.compile(r"bearer\s+vma_", re.I)
_DETAILS: Final = {
    "signup": "Sign-up is switched off at the moment. Try again later.",
    "writes": "Vaultr is read-only at the moment. Try again later.",
    "machines": "Access for machines is switched off at the moment. Try again later.",
    "maintenance": "Vaultr is under maintenance. Try again later.",
}


class Switch(Base):
    """A feature that is switched off. Its row is deleted when the feature is switched on."""

    __tablename__ = "switches"

    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column(comment="What callers are told instead.")
    changed_by: Mapped[str] = mapped_column(comment="The operator's name.")
    changed_at: Mapped[datetime]


_READ: Final = sa.select(Switch.name, Switch.text)


class SwitchedOff(Unavailable):
    """An operator switched this feature off. Try again later."""

    slug = "switched-off"


class _Cache:
    """The switches that this process last read; used also while the database is unavailable."""

    def __init__(self) -> None:
        self.off: Mapping[str, str | None] = {}
        self.watched = False
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def current(self) -> Mapping[str, str | None]:
        """Return the switches; without a watcher thread, one request at a time reads them again."""
        old = time.monotonic() - self._read_at > MAX_AGE_SECONDS
        if old and not self.watched and self._lock.acquire(blocking=False):
            previous = engine.deadline.set(READ_SECONDS)
            try:
                self.refresh()
            finally:
                engine.deadline.reset(previous)
                self._lock.release()
        return self.off

    def refresh(self) -> None:
        """Read the switches from the database."""
        self._read_at = time.monotonic()
        with contextlib.suppress(
            sa.exc.SQLAlchemyError
        ):  # the statements of the request itself will report the failure
            self.off = read()
            for name in NAMES:
                metrics.SWITCHED_OFF.labels(name).set(1 if name in self.off else 0)

    def forget(self) -> None:
        """Read the switches again at the next request."""
        self._read_at = float("-inf")


_CACHE: Final = AppSlot[_Cache]("api.kill_switches")


def init_app(app: Flask, _settings: Settings) -> None:
    """Reject requests for switched-off features; runs after rate limits, before authentication."""
    _CACHE.set(app, _Cache())
    app.before_request(_reject)


def read() -> dict[str, str | None]:
    """Return the features that are switched off, each with the operator's text or None."""
    with one_statement() as connection:
        return {row.name: row.text for row in connection.execute(_READ)}


def watch(app: Flask) -> Callable[[], None]:
    """Read the switches every few seconds in a thread, so that no request waits for them.

    :return: a function that stops the thread.
    """
    cache = _CACHE.get(app)
    ended = threading.Event()

    def run() -> None:
        with app.app_context():
            while True:
                cache.refresh()
                cache.watched = True
                if ended.wait(MAX_AGE_SECONDS):
                    return

    threading.Thread(target=run, name="vaultr-switches", daemon=True).start()
    return ended.set


def refresh() -> None:
    """Read the switches from the database, and update the metrics."""
    _CACHE.get().refresh()


def off() -> Mapping[str, str | None]:
    """Return the switched-off features and their texts, as this process last read them."""
    return _CACHE.get().current()


def forget() -> None:
    """Read the switches again at the next request."""
    _CACHE.get().forget()


def switch_off(name: str, *, by: str, text: str | None = None) -> bool:
    """Switch a feature off; return whether the feature or its text changed."""
    values = {"name": name, "text": text, "by": by, "now": clock.now()}
    statement = sa.text(
        "INSERT INTO switches (name, text, changed_by, changed_at) VALUES (:name, :text, :by, :now)"
        " ON CONFLICT (name) DO UPDATE SET text = :text, changed_by = :by, changed_at = :now"
        " WHERE switches.text IS DISTINCT FROM :text RETURNING name"
    ).bindparams(sa.bindparam("now", type_=Switch.changed_at.type))
    with transaction() as work:
        return work.execute(statement, values).one_or_none() is not None


def switch_on(name: str) -> bool:
    """Switch a feature on; return whether it was off."""
    statement = sa.delete(Switch).where(Switch.name == name).returning(Switch.name)
    with transaction() as work:
        return work.execute(statement).one_or_none() is not None


def _reject() -> None:
    if request.path in PROBE_PATHS:
        return
    now_off = off()
    if not now_off:
        return
    for name in ("maintenance", "machines", "signup", "writes"):
        if name in now_off and _concerns(name):
            raise SwitchedOff(now_off[name] or _DETAILS[name], retry_after=RETRY_AFTER_SECONDS)


def _concerns(name: str) -> bool:
    endpoint = request.endpoint or ""
    if name == "maintenance":
        return True
    if name == "machines":
        return _MACHINE.match(request.headers.get("Authorization", "")) is not None
    if name == "signup":
        return endpoint in _SIGNING_UP and request.method not in _SAFE
    return request.method not in _SAFE and endpoint not in WRITES_ALLOWED_READ_ONLY
