"""Copy each sequenced event as one JSON line to stdout or syslog, for a SIEM.

A cursor in the database follows each batch. A process that stops finishes its batch. One that is
killed between a batch and its cursor writes the batch again: no receiver can take part in the
transaction. Each line has its tree and index, which never come twice for different events.
"""

import json
import sys
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit import checkpoints
from vaultr.audit.anchor_kinds import AnchorFailed, send_syslog
from vaultr.audit.models import AuditEvent, AuditLeaf
from vaultr.database.base import Fact
from vaultr.database.session import transaction
from vaultr.observability import logs, metrics
from vaultr.settings.model import current_settings

_CURSOR: Final = "audit/stream"
_BATCH: Final = 500
_SYSLOG_PORT: Final = 514


def run() -> None:
    """Write all events that were sequenced since the cursor."""
    target = current_settings().audit_stream
    if target is None:
        return
    try:
        while _batch(target) == _BATCH:
            pass
    except AnchorFailed as error:
        metrics.AUDIT_ANCHOR_FAILURES.labels("stream").inc()
        logs.warning("audit.stream.failed", reason=str(error))


def _batch(target: str) -> int:
    with transaction() as session:
        epoch, index = _cursor(session)
        newest = checkpoints.newest(session)
        if newest is None:
            return 0
        end = (newest.checkpoint.epoch, newest.checkpoint.size)
        place = sa.tuple_(AuditLeaf.epoch, AuditLeaf.idx)
        query = (
            sa.select(AuditLeaf.epoch, AuditLeaf.idx, AuditEvent.body)
            .join(AuditEvent, AuditEvent.event_id == AuditLeaf.event_id)
            .where(place > sa.tuple_(sa.literal(epoch), sa.literal(index)))
            .where(place < sa.tuple_(*map(sa.literal, end)))  # what a published checkpoint covers
            .order_by(AuditLeaf.epoch, AuditLeaf.idx)
            .limit(_BATCH)
        )
        rows = session.execute(query).all()
        for tree, at, body in rows:
            _write(target, json.dumps({"epoch": tree, "index": at, "event": _event(body)}))
        if rows:
            _move(session, rows[-1][0], rows[-1][1])
    return len(rows)


def _event(body: bytes) -> Any:
    """Return the event, or its bytes as text if it is at fault and no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _cursor(session: Session) -> tuple[int, int]:
    fact = session.get(Fact, _CURSOR)
    if fact is None:
        return 0, -1
    epoch, index = json.loads(fact.value)
    return int(epoch), int(index)


def _move(session: Session, epoch: int, index: int) -> None:
    value = json.dumps([epoch, index]).encode()
    fact = session.get(Fact, _CURSOR)
    if fact is None:
        session.add(Fact(name=_CURSOR, value=value))
    else:
        fact.value = value


def _write(target: str, line: str) -> None:
    if target == "stdout":
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except OSError as error:
            raise AnchorFailed(error.strerror or "cannot be written") from error
        return
    parts = urlsplit(target)
    send_syslog((parts.hostname or "", parts.port or _SYSLOG_PORT), line)
