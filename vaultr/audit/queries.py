"""Read the events about an account."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit.events import ACTIONS
from vaultr.audit.models import AuditEvent
from vaultr.database.session import reading
from vaultr.settings.model import current_settings
from vaultr.wire.page_size import rows_that_fit

# Microseconds since 1970, and the id.
Position = tuple[int, str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS_BYTES = 400  # bytes of an event in a response, besides its body


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter: events of one type or family, from a time (inclusive) to another (exclusive)."""

    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    machine: UUID | None = None


def events_of(
    account_id: UUID, wanted: Wanted, *, after: Position | None, limit: int
) -> tuple[list[AuditEvent], Position | None]:
    """Return a page of an account's events, newest first, and the position where it ends.

    The page ends at ``limit`` events, at PAGE_BYTES, or after AUDIT_PAGE_EVENTS scanned events, if
    it is filtered by machine. So it may be short or empty; continue at the position.

    :param after: the position where the previous page ends.
    """
    settings = current_settings()
    most = settings.audit_page_events
    first = _newest(account_id, wanted, after, limit + 1 if wanted.machine is None else most)
    query = sa.select(AuditEvent).join(first, AuditEvent.event_id == first.c.event_id)
    if wanted.machine is not None:
        query = query.where(AuditEvent.act == str(wanted.machine))
    query = query.order_by(AuditEvent.t.desc(), AuditEvent.event_id.desc()).limit(limit + 1)
    with reading() as session:
        rows = list(session.scalars(query))
        last = None if wanted.machine is None else _last_scanned(session, first, most)
    sizes = (_json_bytes(row) for row in rows[:limit])
    shown = rows[: rows_that_fit(sizes, settings.page_bytes)]
    if len(shown) < len(rows):
        return shown, _position(shown[-1].t, shown[-1].event_id)
    return rows, last


def _newest(account_id: UUID, wanted: Wanted, after: Position | None, count: int) -> "sa.Subquery":
    """Return the newest ``count`` events of the wanted types, of any machine.

    An index finds the events of each type, so the cost depends only on ``count``.
    """
    chosen = _chosen(account_id, wanted, after)
    newest = (AuditEvent.t.desc(), AuditEvent.event_id.desc())
    columns = sa.select(AuditEvent.event_id, AuditEvent.t.label("time")).where(*chosen)
    if wanted.action is None:
        return columns.order_by(*newest).limit(count).subquery()
    each = [
        columns.where(AuditEvent.typ == event.value).order_by(*newest).limit(count).subquery()
        for event in ACTIONS[wanted.action]
    ]
    together = sa.union_all(*(sa.select(one) for one in each)).subquery()
    ordered = sa.select(together).order_by(together.c.time.desc(), together.c.event_id.desc())
    return ordered.limit(count).subquery()


def _last_scanned(session: Session, first: "sa.Subquery", most: int) -> Position | None:
    """Return the position of the last scanned event, if more may follow."""
    oldest = sa.select(first).order_by(first.c.time, first.c.event_id).limit(1)
    if session.scalar(sa.select(sa.func.count()).select_from(first)) != most:
        return None
    row = session.execute(oldest).one()
    return _position(row.time, row.event_id)


def _position(moment: datetime, event_id: UUID) -> Position:
    return (moment - _EPOCH) // _MICROSECOND, str(event_id)


def _json_bytes(event: AuditEvent) -> int:
    """Return an event's size in a response: JSON escapes every quote of its body."""
    return len(event.body) + event.body.count(b'"') + _FIELDS_BYTES


def _chosen(
    account_id: UUID, wanted: Wanted, after: Position | None
) -> list[sa.ColumnElement[bool]]:
    events = AuditEvent
    chosen: list[sa.ColumnElement[bool]] = [events.sub == str(account_id)]
    if wanted.since is not None:
        chosen.append(events.t >= wanted.since)
    if wanted.until is not None:
        chosen.append(events.t < wanted.until)
    if after is not None:
        place = sa.tuple_(events.t, events.event_id)
        moment = _EPOCH + after[0] * _MICROSECOND
        last = sa.tuple_(sa.literal(moment, events.t.type), sa.literal(UUID(after[1])))
        chosen.append(place < last)
    return chosen
