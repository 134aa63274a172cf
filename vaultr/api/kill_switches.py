"""Features that an operator switches off while Vaultr runs: all processes obey within seconds."""

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
KEPT_SECONDS: Final = 2.0  # how old a process's knowledge may be
PATIENCE_SECONDS: Final = 0.5  # that a request waits for it at most
WAIT_SECONDS: Final = 60  # what a refused caller is told to wait
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNING_UP: Final = frozenset({"auth.sign_up", "auth.resend_verification"})
# What changes the database, but has to work while it is read-only: to come in, to go out, and to
# end what fell into wrong hands. Whatever is new is a write until it is named here.
GOES_ON_READ_ONLY: Final = frozenset({
    "auth.cancel_recovery", "auth.cancel_recovery_by_token", "auth.login", "auth.logout",
    "auth.logout_all", "auth.prelogin", "auth.refresh", "auth.revoke_session", "auth.step_up",
    "auth.undo_email_change", "web.press_cancel_recovery", "web.press_undo_change",
})  # fmt: skip
# As the door reads it: with any white space between the two.
_MACHINE: Final = re.compile(r"bearer\s+vma_", re.I)
_SAYS: Final = {
    "signup": "New accounts are not taken at the moment.",
    "writes": "Nothing can be changed at the moment; reading goes on.",
    "machines": "Machines have no access at the moment.",
    "maintenance": "Vaultr is being maintained; try again later.",
}


class Switch(Base):
    """One feature that is switched off; a row is there as long as it is."""

    __tablename__ = "switches"

    name: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column(comment="What callers are told instead.")
    changed_by: Mapped[str] = mapped_column(comment="The operator's name.")
    changed_at: Mapped[datetime]


_READ: Final = sa.select(Switch.name, Switch.text)


class SwitchedOff(Unavailable):
    """This was switched off by an operator; try again later."""

    slug = "switched-off"


class _Known:
    """What this process knows; the old knowledge holds while the database is away."""

    def __init__(self) -> None:
        self.off: Mapping[str, str | None] = {}
        self.watched = False
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def current(self) -> Mapping[str, str | None]:
        """Return what is off; where nobody watches, one of many requests asks, but not for long."""
        old = time.monotonic() - self._read_at > KEPT_SECONDS
        if old and not self.watched and self._lock.acquire(blocking=False):
            usual = engine.deadline.set(PATIENCE_SECONDS)
            try:
                self.look()
            finally:
                engine.deadline.reset(usual)
                self._lock.release()
        return self.off

    def look(self) -> None:
        """Ask the database."""
        self._read_at = time.monotonic()
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # whoever needs it will say so
            self.off = read()
            for name in NAMES:
                metrics.SWITCHED_OFF.labels(name).set(1 if name in self.off else 0)

    def forget(self) -> None:
        """Ask at the next request."""
        self._read_at = float("-inf")


_KNOWN: Final = AppSlot[_Known]("api.kill_switches")


def init_app(app: Flask, _settings: Settings) -> None:
    """Refuse what is switched off; to be called after the limits and before the door."""
    _KNOWN.set(app, _Known())
    app.before_request(_refuse)


def read() -> dict[str, str | None]:
    """Ask the database what is switched off, and with which words."""
    with one_statement() as connection:
        return {row.name: row.text for row in connection.execute(_READ)}


def watch(app: Flask) -> Callable[[], None]:
    """Ask the database every few seconds, in a thread of this process: no request waits for it.

    :return: a function that ends the thread.
    """
    known = _KNOWN.get(app)
    ended = threading.Event()

    def run() -> None:
        with app.app_context():
            while True:
                known.look()
                known.watched = True
                if ended.wait(KEPT_SECONDS):
                    return

    threading.Thread(target=run, name="vaultr-switches", daemon=True).start()
    return ended.set


def look() -> None:
    """Ask the database now, and tell it as numbers."""
    _KNOWN.get().look()


def off() -> Mapping[str, str | None]:
    """Return what this process knows to be off: names, each with the words for callers or None."""
    return _KNOWN.get().current()


def forget() -> None:
    """Ask the database at the next request."""
    _KNOWN.get().forget()


def switch_off(name: str, *, by: str, text: str | None = None) -> bool:
    """Switch a feature off; tell whether it was on, or off with other words."""
    values = {"name": name, "text": text, "by": by, "now": clock.now()}
    statement = sa.text(
        "INSERT INTO switches (name, text, changed_by, changed_at) VALUES (:name, :text, :by, :now)"
        " ON CONFLICT (name) DO UPDATE SET text = :text, changed_by = :by, changed_at = :now"
        " WHERE switches.text IS DISTINCT FROM :text RETURNING name"
    ).bindparams(sa.bindparam("now", type_=Switch.changed_at.type))
    with transaction() as work:
        return work.execute(statement, values).one_or_none() is not None


def switch_on(name: str) -> bool:
    """Switch a feature on again; tell whether it was off."""
    statement = sa.delete(Switch).where(Switch.name == name).returning(Switch.name)
    with transaction() as work:
        return work.execute(statement).one_or_none() is not None


def _refuse() -> None:
    if request.path in PROBE_PATHS:
        return
    now_off = off()
    if not now_off:
        return
    for name in ("maintenance", "machines", "signup", "writes"):
        if name in now_off and _concerns(name):
            raise SwitchedOff(now_off[name] or _SAYS[name], retry_after=WAIT_SECONDS)


def _concerns(name: str) -> bool:
    endpoint = request.endpoint or ""
    if name == "maintenance":
        return True
    if name == "machines":
        return _MACHINE.match(request.headers.get("Authorization", "")) is not None
    if name == "signup":
        return endpoint in _SIGNING_UP and request.method not in _SAFE
    return request.method not in _SAFE and endpoint not in GOES_ON_READ_ONLY
