"""Read the events about an account."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit.models import AuditEvent
from vaultr.database.session import reading
from vaultr.wire.page_size import rows_that_fit

# Microseconds since 1970, and the id.
Position = tuple[int, str]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS_BYTES = 400  # of an event in a response, besides its body


@dataclass(frozen=True, slots=True)
class Wanted:
    """Select events of one type or family, from a time (inclusive) until another (exclusive)."""

    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    machine: UUID | None = None


def events_of(
    account_id: UUID, wanted: Wanted, *, after: Position | None, limit: int
) -> tuple[list[AuditEvent], Position | None]:
    """Return a page of an account's events, newest first, and the position of its end.

    The page ends at ``limit`` or `PAGE_BYTES`.

    :param after: the position of the end of the page before.
    """
    events, chosen = AuditEvent, _chosen(account_id, wanted)
    if after is not None:
        place = sa.tuple_(events.t, events.event_id)
        moment = _EPOCH + after[0] * _MICROSECOND
        last = sa.tuple_(sa.literal(moment, events.t.type), sa.literal(UUID(after[1])))
        chosen.append(place < last)
    query = sa.select(events).where(*chosen).order_by(events.t.desc(), events.event_id.desc())
    with reading() as session:
        rows = list(session.scalars(query.limit(limit + 1)))
    shown = rows[: rows_that_fit(_json_bytes(row) for row in rows[:limit])]
    if len(shown) == len(rows):
        return rows, None
    end = shown[-1]
    return shown, ((end.t - _EPOCH) // _MICROSECOND, str(end.event_id))


def _json_bytes(event: AuditEvent) -> int:
    """Return the size of an event in a response: in JSON every quote of its body is escaped."""
    return len(event.body) + event.body.count(b'"') + _FIELDS_BYTES


def _chosen(account_id: UUID, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    events = AuditEvent
    chosen: list[sa.ColumnElement[bool]] = [events.sub == str(account_id)]
    if wanted.action is not None:
        family = events.typ.startswith(f"{wanted.action}.", autoescape=True)
        chosen.append((events.typ == wanted.action) | family)
    if wanted.machine is not None:
        chosen.append(events.act == str(wanted.machine))
    if wanted.since is not None:
        chosen.append(events.t >= wanted.since)
    if wanted.until is not None:
        chosen.append(events.t < wanted.until)
    return chosen
