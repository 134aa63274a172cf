"""What readiness asks for: the database in a second, its schema, the keys, Redis, not draining."""

import threading
import time
from dataclasses import dataclass
from typing import Final

from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.database import engine, schema_version
from vaultr.health import draining
from vaultr.observability import metrics
from vaultr.ratelimit import limiter
from vaultr.security import keyring
from vaultr.settings.model import Settings, current_settings

DATABASE_SECONDS = 1.0
_KEPT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """What has failed (not ready), and what is away but can be done without for now."""

    failed: tuple[str, ...]
    degraded: tuple[str, ...]
    switched_off: tuple[str, ...] = ()


class _Kept:
    """The last finding, kept for a second: of many probes at once one asks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at = 0.0
        self.state = State((), ())


_KEPT: Final = AppSlot[_Kept]("health.readiness")


def init_app(app: Flask, _settings: Settings) -> None:
    """Keep findings by app; an app that was never asked is not ready yet."""
    _KEPT.set(app, _Kept())


def current() -> State:
    """Find out, or give what was found less than a second ago."""
    if draining.begun():
        return State(("draining",), ())
    kept = _KEPT.get()
    with kept.lock:
        if time.monotonic() - kept.at > _KEPT_SECONDS or not kept.at:
            kept.state = _found_out()
            kept.at = time.monotonic()
        return kept.state


def _found_out() -> State:
    settings = current_settings()
    failed, switched_off = _database()
    degraded: list[str] = []
    keys = keyring.KEYS.find()
    if keys is None or not keys.jwt.current:
        failed.append("keys")
    guard = limiter.current()
    if guard.redis is not None and not guard.reachable():
        since = guard.away_since or time.monotonic()
        gone = time.monotonic() - since > settings.ready_redis_grace
        (failed if gone and "redis" in settings.ready_requires else degraded).append("redis")
    metrics.READY.set(0 if failed else 1)
    return State(tuple(failed), tuple(degraded), switched_off)


def _database() -> tuple[list[str], tuple[str, ...]]:
    """Ask on a connection of its own, so that a full pool does not take pods away.

    :return: what has failed, and what an operator has switched off.
    """
    try:
        found = schema_version.ask(DATABASE_SECONDS)
    except engine.NoAnswer:
        return ["database"], ()
    status = schema_version.status(found)
    fits = status.compatible and not status.pending
    return ([] if fits else ["schema"]), found.switched_off
