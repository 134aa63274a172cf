"""Read checkpoints; cache the newest published one and the audit lag for a second."""

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.audit import signing
from vaultr.audit.models import AuditCheckpoint, AuditKeyChange
from vaultr.audit.sequencer_lag import LagView
from vaultr.database.session import one_statement
from vaultr.observability import logs
from vaultr.protocol import notes
from vaultr.protocol.notes import Checkpoint
from vaultr.settings.model import Settings

SECONDS: Final = 1.0
STARTUP_GRACE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Published:
    """A published checkpoint."""

    note: str
    checkpoint: Checkpoint

    @property
    def header(self) -> str:
        """The value of ``X-Vaultr-Checkpoint``."""
        checkpoint = self.checkpoint
        return f"{checkpoint.epoch} {checkpoint.size} {notes.encode(checkpoint.root)}"


@dataclass(frozen=True, slots=True)
class View:
    """The newest published checkpoint and the lag, as this process knows them."""

    newest: Published | None = None
    lag: LagView | None = None


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at: float | None = None
        self.view = View()
        self.since = time.monotonic()


_CACHE: Final = AppSlot[_Cache]("audit.checkpoints")


def init_app(app: Flask, _settings: Settings) -> None:
    """Create the cache of the app."""
    _CACHE.set(app, _Cache())


def forget() -> None:
    """Empty the cache, because the database was replaced; measure the lag from the start again."""
    cache = _CACHE.get()
    cache.at, cache.view, cache.since = None, View(), float("-inf")


def view() -> View:
    """Return the view, at most a second old. One thread refreshes it; others get the previous one.

    If the database cannot be read, the previous view remains.
    """
    cache = _CACHE.get()
    fresh = cache.at is not None and time.monotonic() - cache.at < SECONDS
    if fresh or not cache.lock.acquire(blocking=cache.at is None):
        return cache.view
    try:
        if cache.at is None or time.monotonic() - cache.at >= SECONDS:
            cache.view = _read()
            cache.at = time.monotonic()
    except sa.exc.SQLAlchemyError as error:
        cache.at = time.monotonic()
        logs.failure("audit.view.failed", error)
    finally:
        cache.lock.release()
    return cache.view


def changes_are_rejected(limit_seconds: int) -> bool:
    """Check whether the audit lag exceeds its limit, except during the first ten seconds.

    After an outage the oldest event may be old, and the sequencer needs a moment to catch up.
    """
    cache = _CACHE.get()
    if time.monotonic() - cache.since < STARTUP_GRACE_SECONDS:
        return False
    lag = lag_seconds()
    return lag is not None and lag > limit_seconds


def lag_seconds() -> float | None:
    """Return the audit lag, at most a second old; None until the backlog was empty once."""
    lag = view().lag
    return None if lag is None else lag.seconds


def _read() -> View:
    """Read checkpoint and lag in one statement."""
    newest = published_query().order_by(AuditCheckpoint.epoch.desc(), AuditCheckpoint.size.desc())
    with one_statement() as connection:
        row = connection.execute(
            sa.select(
                newest.with_only_columns(AuditCheckpoint.note).limit(1).scalar_subquery(),
                *LagView.columns(),
            )
        ).one()
    published = None if row[0] is None else of_note(row[0])
    return View(published, LagView.of(row[1], row[2], clock.now()))


def of_note(note: str) -> Published:
    """Read a stored note."""
    return Published(note, Checkpoint.of_note(note))


def published_query() -> sa.Select[AuditCheckpoint]:
    """Select published checkpoints."""
    return sa.select(AuditCheckpoint).where(AuditCheckpoint.anchored_to.is_not(None))


def newest(session: Session, epoch: int | None = None) -> Published | None:
    """Return the newest published checkpoint, of all trees or of one."""
    query = published_query()
    if epoch is not None:
        query = query.where(AuditCheckpoint.epoch == epoch)
    order = (AuditCheckpoint.epoch.desc(), AuditCheckpoint.size.desc())
    row = session.scalar(query.order_by(*order).limit(1))
    return None if row is None else of_note(row.note)


def last_signed(session: Session) -> AuditCheckpoint | None:
    """Return the last checkpoint, even if it is unpublished."""
    order = (AuditCheckpoint.epoch.desc(), AuditCheckpoint.size.desc())
    return session.scalar(sa.select(AuditCheckpoint).order_by(*order).limit(1))


def key_changes(session: Session) -> list[str]:
    """Return all notes in which a signing key named its successor, oldest first."""
    query = sa.select(AuditKeyChange.note).order_by(AuditKeyChange.epoch)
    return list(session.scalars(query))


def verification_keys(session: Session, epoch: int) -> list[str]:
    """Return the keys that signed a tree, as a list of vkeys."""
    found = [key for first, key in signing.published(session) if first <= epoch]
    return [str(found[-1])] if found else []


def add(session: Session, checkpoint: Checkpoint, note: str, now: datetime) -> None:
    """Store a signed checkpoint, not yet published."""
    row = AuditCheckpoint(
        epoch=checkpoint.epoch, size=checkpoint.size, note=note, created_at=now, anchored_to=None
    )
    session.add(row)
    session.flush()
