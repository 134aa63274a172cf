"""What readiness asks for: the database in a second, its schema, the keys, Redis, not draining."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import Flask, current_app

from vaultr import draining, keys
from vaultr.database import engine
from vaultr.database.session import db, postgresql
from vaultr.limits import blanket
from vaultr.settings import Settings

DATABASE_SECONDS = 1.0
_KEPT_SECONDS = 1.0
_HOOK = "vaultr.readiness"


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
    app.extensions["vaultr.schema_head"] = _expected_revision(app)


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
    limit = engine.deadline.set(DATABASE_SECONDS)
    probe = sa.create_engine(
        db.engine.url, poolclass=sa.pool.NullPool, hide_parameters=True, connect_args=_connect()
    )
    try:
        with probe.connect() as connection:
            revision = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
            found = revision.scalar_one_or_none()
    except sa.exc.ProgrammingError:
        return ["schema"]
    except sa.exc.OperationalError as error:
        return ["schema"] if "no such table" in str(error.orig) else ["database"]
    except sa.exc.SQLAlchemyError:
        return ["database"]
    finally:
        probe.dispose()
        engine.deadline.reset(limit)
    return [] if found == current_app.extensions["vaultr.schema_head"] else ["schema"]


def _connect() -> dict[str, float]:
    return {"connect_timeout": DATABASE_SECONDS} if postgresql() else {"timeout": DATABASE_SECONDS}


def _expected_revision(app: Flask) -> str | None:
    folder = Path(app.root_path).parent / "migrations"
    return ScriptDirectory(str(folder)).get_current_head()
