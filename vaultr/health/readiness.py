"""The readiness check: database, schema, keys, Redis, writes, and whether the server drains."""

import threading
import time
from dataclasses import dataclass
from typing import Final

from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.audit import service as audit
from vaultr.database import engine, schema_version, write_check
from vaultr.health import draining
from vaultr.observability import metrics
from vaultr.ratelimit import limiter
from vaultr.security import keyring
from vaultr.settings.model import Settings, current_settings

DATABASE_SECONDS = 1.0
_CACHE_SECONDS = 1.0
_WRITES_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """The dependencies that failed (not ready), or are missing but not required now (degraded)."""

    failed: tuple[str, ...]
    degraded: tuple[str, ...]
    switched_off: tuple[str, ...] = ()


class _Cache:
    """The last state, cached for a second, so that frequent probes share one check."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at = 0.0
        self.state = Readiness((), ())
        self.writes_at = 0.0
        self.is_writable = True


_CACHE: Final = AppSlot[_Cache]("health.readiness")


def init_app(app: Flask, _settings: Settings) -> None:
    """Create the cache of an app."""
    _CACHE.set(app, _Cache())


def current() -> Readiness:
    """Return the state, at most a second old."""
    if draining.started():
        return Readiness(("draining",), ())
    cache = _CACHE.get()
    with cache.lock:
        if time.monotonic() - cache.at > _CACHE_SECONDS or not cache.at:
            cache.state = _check(cache)
            cache.at = time.monotonic()
        return cache.state


def _check(cache: _Cache) -> Readiness:
    settings = current_settings()
    failed, switched_off = _database()
    degraded: list[str] = []
    keys = keyring.KEYS.find()
    if keys is None or not keys.jwt.current:
        failed.append("keys")
    redis_limiter = limiter.current()
    if redis_limiter.redis is not None and not redis_limiter.reachable():
        since = redis_limiter.away_since or time.monotonic()
        is_overdue = time.monotonic() - since > settings.ready_redis_grace
        (failed if is_overdue and "redis" in settings.ready_requires else degraded).append("redis")
    if not failed:
        _audit(failed, degraded)
        _writes(cache, degraded)
    metrics.READY.set(0 if failed else 1)
    return Readiness(tuple(failed), tuple(degraded), switched_off)


def _writes(cache: _Cache, degraded: list[str]) -> None:
    """Check every few seconds whether the database accepts writes; if not, reads continue."""
    if time.monotonic() - cache.writes_at > _WRITES_SECONDS or not cache.writes_at:
        cache.is_writable = write_check.is_writable(DATABASE_SECONDS)
        cache.writes_at = time.monotonic()
    if not cache.is_writable:
        degraded.append("database-writes")


def _audit(failed: list[str], degraded: list[str]) -> None:
    """Check the audit log: missing events of this process, and the lag."""
    if audit.missing_events():
        failed.append("audit")
    lag = audit.lag_seconds()
    if lag is not None and lag > current_settings().audit_lag_degraded:
        degraded.append("audit")


def _database() -> tuple[list[str], tuple[str, ...]]:
    """Check the database on its own connection, so that a full pool does not fail readiness.

    :return: failures, and the features that an operator has switched off.
    """
    try:
        found = schema_version.read_state(DATABASE_SECONDS)
    except engine.DatabaseUnavailable:
        return ["database"], ()
    status = schema_version.status(found)
    fits = status.compatible and not status.pending
    return ([] if fits else ["schema"]), found.switched_off
