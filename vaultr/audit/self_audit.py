"""Check that events which this process has committed arrive in the log.

No verification of the stored log can detect a database trigger that drops all events of a writer;
this check can.
"""

import threading
import time
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.audit import transaction_hooks
from vaultr.audit.models import AuditEvent, AuditLeaf, AuditPending
from vaultr.database.session import reading
from vaultr.observability import logs, metrics
from vaultr.settings.model import Settings

EVERY_SECONDS: Final = 5.0
_BATCH: Final = 500


class SelfAudit:
    """The result of the last check.

    :ivar missing: number of committed events that are neither in a tree nor pending.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next_at = 0.0
        self.missing = 0


_STATE: Final = AppSlot[SelfAudit]("audit.self_audit")


def init_app(app: Flask, _settings: Settings) -> None:
    """Create the state of the app."""
    _STATE.set(app, SelfAudit())


def missing_events() -> int:
    """Return how many committed events of this process were missing at the last check."""
    return _STATE.get().missing


def forget() -> None:
    """Forget the last check, because the database was replaced."""
    state = _STATE.get()
    state.missing, state.next_at = 0, 0.0


def run_if_due() -> bool:
    """Check every few seconds, in one thread at a time.

    :return: False, because nothing is left to do.
    """
    state = _STATE.get()
    if time.monotonic() < state.next_at or not state.lock.acquire(blocking=False):
        return False
    try:
        state.next_at = time.monotonic() + EVERY_SECONDS
        run()
    except sa.exc.SQLAlchemyError as error:
        logs.failure("audit.self.failed", error)
    finally:
        state.lock.release()
    return False


def run() -> None:
    """Check the recent events of all writers; forget events that a tree includes."""
    recent = dict(transaction_hooks.pool().recent())
    sequenced: set[UUID] = set()
    waiting: set[UUID] = set()
    ids = list(recent)
    for at in range(0, len(ids), _BATCH):
        some = ids[at : at + _BATCH]
        with reading(snapshot=True) as session:
            query = sa.select(
                AuditEvent.event_id,
                AuditEvent.event_hash,
                sa.exists().where(AuditLeaf.event_id == AuditEvent.event_id),
                sa.exists().where(AuditPending.event_id == AuditEvent.event_id),
            ).where(AuditEvent.event_id.in_(some))
            for event_id, event_hash, in_tree, pending in session.execute(query):
                if event_hash == recent[event_id] and (in_tree or pending):
                    (sequenced if in_tree else waiting).add(event_id)
    transaction_hooks.pool().confirm(sequenced)
    state = _STATE.get()
    state.missing = len(recent.keys() - sequenced - waiting)
    metrics.AUDIT_MISSING.set(state.missing)
    if state.missing:
        logs.warning("audit.events.missing", count=state.missing)
