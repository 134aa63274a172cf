"""Copy checkpoints to anchors outside of the database, and read the newest one back."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from vaultr.app_state import AppSlot
from vaultr.audit import anchor_kinds
from vaultr.audit.anchor_kinds import Anchor, AnchorFailed
from vaultr.audit.models import AuditCheckpoint, AuditKeyChange
from vaultr.database.session import reading, transaction
from vaultr.observability import logs, metrics
from vaultr.settings.model import Settings

_LONGEST_PAUSE_SECONDS: Final = 60.0


class AnchorUnreachable(Exception):
    """An anchor cannot be read now."""

    def __init__(self, anchor: str) -> None:
        self.anchor = anchor
        super().__init__(f"the anchor {anchor} cannot be reached")


@dataclass(slots=True)
class _State:
    """The state of one anchor.

    :ivar sent: the newest checkpoint that this process sent to it.
    :ivar failures: failed attempts since the last success.
    :ivar next_at: the time of the next attempt, by `time.monotonic`.
    """

    anchor: Anchor
    sent: str | None = None
    failures: int = 0
    next_at: float = 0.0


@dataclass(slots=True)
class _States:
    all: list[_State] = field(default_factory=list)


_STATES: Final = AppSlot[_States]("audit.anchors")


def init_app(app: Flask, settings: Settings) -> None:
    """Create the anchors of AUDIT_ANCHORS, without opening them."""
    states = [_State(anchor_kinds.of(url, settings)) for url in settings.audit_anchors]
    _STATES.set(app, _States(states))


def newest_notes() -> list[str]:
    """Return the newest checkpoint of each anchor that can be read back.

    :raises AnchorUnreachable: an anchor cannot be read, which is not the same as empty.
    """
    found = []
    for state in _STATES.get().all:
        try:
            note = state.anchor.newest()
        except AnchorFailed as error:
            raise AnchorUnreachable(state.anchor.url) from error
        if note is not None:
            found.append(note)
    return found


def failing() -> list[str]:
    """Return the anchors whose last attempt failed."""
    return [state.anchor.url for state in _STATES.get().all if state.failures]


def send_first() -> None:
    """Anchor the newest checkpoint before it is published, because there is no state file."""
    _send_due(published=False)


def catch_up() -> None:
    """Send each anchor the newest checkpoint, and missing final checkpoints and key changes."""
    _send_due(published=True)


def _send_due(*, published: bool) -> None:
    states = [state for state in _STATES.get().all if state.next_at <= time.monotonic()]
    for state in states:
        for row in _missing_notes(state, published=published):
            if not _send(state, row):
                break


def _missing_notes(state: _State, *, published: bool) -> list[AuditKeyChange | AuditCheckpoint]:
    """Return the notes that an anchor does not have: oldest first, the newest checkpoint last.

    This includes the newest checkpoint unless this process has sent it, even if the database says
    that the anchor has it. An attacker with access to the database could have written that, so that
    the anchor never gets the checkpoint.
    """
    finals = sa.select(AuditCheckpoint.epoch, sa.func.max(AuditCheckpoint.size)).group_by(
        AuditCheckpoint.epoch
    )
    place = sa.tuple_(AuditCheckpoint.epoch, AuditCheckpoint.size)
    query = sa.select(AuditCheckpoint).where(place.in_(finals))
    with reading() as session:
        changes = list(session.scalars(sa.select(AuditKeyChange).order_by(AuditKeyChange.epoch)))
        last = list(session.scalars(query.order_by(AuditCheckpoint.epoch)))
    newest = last[-1:] if last and last[-1].note != state.sent else []
    older: list[AuditKeyChange | AuditCheckpoint] = [*changes, *last[:-1]]
    missing = [row for row in older if state.anchor.url not in taken_by(row.anchored_to)]
    return [row for row in [*missing, *newest] if row.anchored_to is not None or not published]


def taken_by(text: str | None) -> Mapping[str, str]:
    """Parse the column ``anchored_to``: cosignatures (or empty strings) by anchor."""
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _send(state: _State, row: AuditKeyChange | AuditCheckpoint) -> bool:
    url = state.anchor.url
    try:
        with reading() as session:
            answer = state.anchor.send(row.note, session)
    except AnchorFailed as error:
        state.failures += 1
        pause = min(_LONGEST_PAUSE_SECONDS, 2.0 ** min(state.failures, 6))
        state.next_at = time.monotonic() + pause
        metrics.AUDIT_ANCHOR_FAILURES.labels(state.anchor.kind).inc()
        if state.failures == 1:
            logs.warning("audit.anchor.failed", anchor=state.anchor.kind, reason=str(error))
        return False
    if state.failures:
        logs.event("audit.anchor.resumed", anchor=state.anchor.kind)
    state.failures, state.next_at = 0, 0.0
    if isinstance(row, AuditCheckpoint):
        state.sent = row.note
    with transaction() as session:
        _record_sent(session, row, url, answer)
    return True


def _record_sent(
    session: Session, row: AuditKeyChange | AuditCheckpoint, url: str, answer: str
) -> None:
    """Record that an anchor has a note; an unpublished note stays unpublished."""
    if row.anchored_to is None:
        return
    value = json.dumps({**taken_by(row.anchored_to), url: answer})
    kind: Any = type(row)
    where = [kind.epoch == row.epoch]
    if isinstance(row, AuditCheckpoint):
        where.append(AuditCheckpoint.size == row.size)
    session.execute(sa.update(kind).where(*where).values(anchored_to=value))
