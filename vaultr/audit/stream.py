"""Copy each sequenced event as one JSON line to stdout or syslog, for a SIEM.

A cursor in the database follows each batch. After a crash between a batch and its cursor the
batch is written again; each line has its tree and index, by which a receiver can drop it.
"""

import json
import sys
from typing import Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

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
        place = sa.tuple_(AuditLeaf.epoch, AuditLeaf.idx)
        query = (
            sa.select(AuditLeaf.epoch, AuditLeaf.idx, AuditEvent.body)
            .join(AuditEvent, AuditEvent.event_id == AuditLeaf.event_id)
            .where(place > sa.tuple_(sa.literal(epoch), sa.literal(index)))
            .order_by(AuditLeaf.epoch, AuditLeaf.idx)
            .limit(_BATCH)
        )
        rows = session.execute(query).all()
        for tree, at, body in rows:
            _write(target, json.dumps({"epoch": tree, "index": at, "event": json.loads(body)}))
        if rows:
            _move(session, rows[-1][0], rows[-1][1])
    return len(rows)


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
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        return
    parts = urlsplit(target)
    send_syslog((parts.hostname or "", parts.port or _SYSLOG_PORT), line)
