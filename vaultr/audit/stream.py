"""Copy each sequenced event as one JSON line to stdout or syslog, for a SIEM.

If a process is killed, nobody knows whether its last line arrived, because receivers have no
transactions. The next process writes that line again, with ``"again": true``. So no event is lost,
and if several lines have the same tree and index, at most one of them lacks that mark.

The database stores the cursor and the current batch; `stream_position` stores the last line
written.
"""

import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit import checkpoints, stream_position
from vaultr.audit.anchor_kinds import AnchorFailed, send_syslog
from vaultr.audit.models import AuditEvent, AuditLeaf
from vaultr.audit.stream_position import Place, Position, PositionFile
from vaultr.database.base import Fact
from vaultr.database.session import transaction
from vaultr.observability import logs, metrics
from vaultr.settings.model import current_settings

_CURSOR: Final = "audit/stream"
_UNFINISHED: Final = "audit/stream-batch"
_START: Final = (0, -1)
_BATCH: Final = 500
_SYSLOG_PORT: Final = 514


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch that has begun.

    :ivar end: the last line of the batch.
    :ivar unsure: an earlier process may already have written the lines up to this one.
    """

    name: str
    end: Place
    unsure: Place


def run() -> None:
    """Write all events that were sequenced after the cursor."""
    target = current_settings().audit_stream
    if target is None:
        return
    try:
        with stream_position.opened() as position:
            while _write_batch(target, position) == _BATCH:
                pass
    except (AnchorFailed, OSError) as error:
        metrics.AUDIT_ANCHOR_FAILURES.labels("stream").inc()
        locked = isinstance(error, BlockingIOError)
        reason = "another process writes the stream" if locked else str(error)
        logs.warning("audit.stream.failed", reason=reason)


def _write_batch(target: str, position: PositionFile) -> int:
    """Write one batch, with no open transaction while the receiver may block."""
    with transaction() as session:
        rows, batch = _begin(session, position)
    if batch is None:
        return 0
    if target == "stdout" and _row_place(rows[0]) <= batch.unsure:
        _write(target, "")  # ends a truncated line
    for row in rows:
        again = {"again": True} if _row_place(row) <= batch.unsure else {}
        line = {"epoch": row.epoch, "index": row.idx, "event": _event(row.body), **again}
        _write(target, json.dumps(line))
        position.write(Position((batch.name,), _row_place(row)))
    with transaction() as session:
        if _unfinished_batch(session) == batch:
            _store(session, _CURSOR, batch.end)
            _store(session, _UNFINISHED, None)
    return len(rows)


def _begin(session: Session, position: PositionFile) -> tuple[Sequence[Any], _Batch | None]:
    """Begin a batch after the last line that is known to be written.

    The file names the new batch before the database does, and keeps the name of the unfinished one,
    because the process may be killed in between.
    """
    cursor, unfinished, last = _cursor(session), _unfinished_batch(session), position.read()
    known = last is not None and unfinished is not None and unfinished.name in last.batches
    after = max(cursor, last.place) if last is not None and known else cursor
    rows = _rows(session, after)
    if unfinished is None and not rows:
        return [], None
    _store(session, _CURSOR, after)
    if not rows:
        _store(session, _UNFINISHED, None)
        return [], None
    unsure = _START
    if unfinished is not None:
        # The position is stored after its line, so only the next line is unsure. A file that does
        # not know the batch says nothing about its lines, so all of them are unsure.
        next_line = min(_row_place(rows[0]), unfinished.end)
        unsure = max(unfinished.unsure, next_line if known else unfinished.end)
    if last is not None and not known:  # after a restore, this line may be after the cursor
        unsure = max(unsure, last.place)
    batch = _Batch(secrets.token_hex(8), _row_place(rows[-1]), unsure)
    names = (unfinished.name, batch.name) if unfinished is not None and known else (batch.name,)
    position.write(Position(names, after))
    _store(session, _UNFINISHED, [batch.name, batch.end, batch.unsure])
    return rows, batch


def _rows(session: Session, after: Place) -> Sequence[Any]:
    """Read the next events that a published checkpoint covers."""
    newest = checkpoints.newest(session)
    if newest is None:
        return []
    end = (newest.checkpoint.epoch, newest.checkpoint.size)
    place = sa.tuple_(AuditLeaf.epoch, AuditLeaf.idx)
    query = (
        sa.select(AuditLeaf.epoch, AuditLeaf.idx, AuditEvent.body)
        .join(AuditEvent, AuditEvent.event_id == AuditLeaf.event_id)
        .where(place > sa.tuple_(*map(sa.literal, after)))
        .where(place < sa.tuple_(*map(sa.literal, end)))
        .order_by(AuditLeaf.epoch, AuditLeaf.idx)
        .limit(_BATCH)
    )
    return session.execute(query).all()


def _row_place(row: Any) -> Place:
    return row.epoch, row.idx


def _event(body: bytes) -> Any:
    """Return the event, or its bytes as text if it is faulty and not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _cursor(session: Session) -> Place:
    fact = session.get(Fact, _CURSOR)
    epoch, index = _START if fact is None else json.loads(fact.value)
    return int(epoch), int(index)


def _unfinished_batch(session: Session) -> _Batch | None:
    """Return the batch that began and has not finished."""
    fact = session.get(Fact, _UNFINISHED, populate_existing=True)
    members = None if fact is None else json.loads(fact.value)
    if members is None:
        return None
    name, end, unsure = members
    return _Batch(name, (end[0], end[1]), (unsure[0], unsure[1]))


def _store(session: Session, name: str, value: Any) -> None:
    fact, text = session.get(Fact, name), json.dumps(value).encode()
    if fact is None:
        session.add(Fact(name=name, value=text))
    else:
        fact.value = text


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
