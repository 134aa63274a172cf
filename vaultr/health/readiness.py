"""What readiness asks for: the database in a second, its schema, the keys, Redis, not draining."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, current_app

from vaultr import draining, keys
from vaultr.database import engine
from vaultr.limits import blanket
from vaultr.settings import Settings

DATABASE_SECONDS = 1.0
_KEPT_SECONDS = 1.0
_HOOK = "vaultr.readiness"
_REVISIONS = "vaultr.schema_revisions"


@dataclass(frozen=True, slots=True)
class State:
    """What has failed (not ready), and what is away but can be done without for now."""

    failed: tuple[str, ...]
    degraded: tuple[str, ...]


class _Kept:
    """The last finding, kept for a second: of many probes at once one asks."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at = 0.0
        self.state = State((), ())


def init_app(app: Flask, _settings: Settings) -> None:
    """Keep findings by app; an app that was never asked is not ready yet."""
    app.extensions[_HOOK] = _Kept()
    app.extensions[_REVISIONS] = _revisions(app)


def current() -> State:
    """Find out, or give what was found less than a second ago."""
    if draining.begun():
        return State(("draining",), ())
    kept: _Kept = current_app.extensions[_HOOK]
    with kept.lock:
        if time.monotonic() - kept.at > _KEPT_SECONDS or not kept.at:
            kept.state = _found_out()
            kept.at = time.monotonic()
        return kept.state


def _found_out() -> State:
    settings: Settings = current_app.config["SETTINGS"]
    failed = list(_database())
    degraded: list[str] = []
    if "vaultr.keys" not in current_app.extensions or not keys.current().jwt.current:
        failed.append("keys")
    guard = blanket.guard()
    if guard.redis is not None and not guard.reachable():
        since = guard.away_since or time.monotonic()
        gone = time.monotonic() - since > settings.ready_redis_grace
        (failed if gone and "redis" in settings.ready_requires else degraded).append("redis")
    return State(tuple(failed), tuple(degraded))


def _database() -> list[str]:
    """Ask on a connection of its own, so that a full pool does not take pods away."""
    try:
        found = engine.ask_alone("SELECT version_num FROM alembic_version", DATABASE_SECONDS)
    except engine.NoTable:
        return ["schema"]
    except engine.NoAnswer:
        return ["database"]
    return [] if _compatible(found) else ["schema"]


def _compatible(found: str | None) -> bool:
    """Tell whether this code runs on the schema: the one it knows as newest, or one newer still.

    A migration runs beside the code before it, so pods of both stay ready while one replaces the
    other. Revisions are numbered, so a later one compares greater.
    """
    known: list[str] = current_app.extensions[_REVISIONS]
    return bool(known and found) and (found == known[0] or str(found) > known[0])


def _revisions(app: Flask) -> list[str]:
    folder = Path(app.root_path).parent / "migrations" / "versions"
    numbers = [path.name.partition("_")[0] for path in folder.glob("[0-9]*.py")]
    return sorted(numbers, reverse=True)
