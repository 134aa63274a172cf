"""Read events that wait for the sequencer, and check each one before it is added to a tree."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from vaultr.audit import chain
from vaultr.audit.events import Event
from vaultr.audit.models import AuditEvent, AuditLeaf, AuditPending
from vaultr.audit.tree import Leaf
from vaultr.protocol import merkle

# A missing predecessor may be a commit that is not visible yet; after this time it counts as a gap.
GAP_AFTER: Final = timedelta(seconds=60)
TIMES: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Gap:
    """A faulty event, reported as a ``log.gap`` event."""

    event_id: UUID
    reason: str
    writer: str | None = None
    seq: int | None = None

    def obj(self) -> dict[str, Any]:
        """Return the object of the event."""
        place = {} if self.writer is None else {"writer": self.writer, "n": self.seq}
        return {"kind": "event", "id": str(self.event_id), "reason": self.reason, **place}


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch of pending events.

    :ivar done: ids whose pending row can be deleted.
    :ivar more: whether further events wait.
    """

    leaves: list[Leaf]
    gaps: list[Gap]
    done: list[UUID]
    more: bool


class PendingEvent(NamedTuple):
    """A pending event, and the hash of its writer's previous event."""

    pending_id: UUID
    event_id: UUID
    epoch: int
    writer_id: bytes
    writer_seq: int
    prev_hash: bytes
    body: bytes
    mac: bytes
    event_hash: bytes
    sub: str
    act: str
    typ: str
    out: str
    t: datetime
    before_hash: bytes | None
    in_tree: bool


def read(
    session: Session,
    keys: Mapping[str, bytes],
    *,
    count: int,
    now: datetime,
    only: UUID | None = None,
) -> Checked:
    """Read and check up to ``count`` pending events in the order of their ids.

    :param only: read only this event.
    """
    rows = [PendingEvent(*row) for row in session.execute(_query(count, only))]
    found = [row for row in rows if row.event_id is not None and not row.in_tree]
    found.sort(key=lambda row: (row.t, row.writer_id, row.writer_seq))
    leaves, done = [], [row.pending_id for row in rows if row.event_id is None or row.in_tree]
    gaps = [Gap(row.pending_id, "event-missing") for row in rows if row.event_id is None]
    gaps += [Gap(row.pending_id, "sequenced-before") for row in rows if row.in_tree]
    for row in found:
        reason = fault(row, keys)
        if only is None and reason == "predecessor-missing" and abs(now - row.t) < GAP_AFTER:
            continue
        if reason is not None:
            gaps.append(Gap(row.event_id, reason, row.writer_id.hex(), row.writer_seq))
        leaves.append(Leaf(row.event_id, _hash(row), merkle.subject_tag(chain.subject(row))))
        done.append(row.event_id)
    return Checked(leaves, gaps, done, more=len(rows) == count and bool(done))


def _query(count: int, only: UUID | None) -> Any:
    before = aliased(AuditEvent)
    linked = sa.and_(
        before.epoch == AuditEvent.epoch,
        before.writer_id == AuditEvent.writer_id,
        before.writer_seq == AuditEvent.writer_seq - 1,
    )
    event = AuditEvent
    # An invalid time that Python cannot read must not stop the sequencer.
    stored = sa.and_(event.event_id == AuditPending.event_id, event.t.between(*TIMES))
    query: Any = (
        sa.select(
            AuditPending.event_id.label("pending_id"),
            event.event_id, event.epoch, event.writer_id, event.writer_seq, event.prev_hash,
            event.body, event.mac, event.event_hash, event.sub, event.act, event.typ, event.out,
            event.t, before.event_hash.label("before_hash"),
            sa.exists().where(AuditLeaf.event_id == AuditPending.event_id).label("in_tree"),
        )
        .outerjoin_from(AuditPending, event, stored)
        .outerjoin(before, linked)
        .order_by(AuditPending.event_id)
        .limit(count)
    )  # fmt: skip
    return query if only is None else query.where(AuditPending.event_id == only)


def altered(row: Any, keys: Mapping[str, bytes]) -> str | None:
    """Return a reason code if an event differs from the one that its server recorded, or None."""
    body = _body(row)
    if body is None:
        return "body-invalid"
    key = keys.get(str(body.get("k")))
    if key is None:
        return "key-unknown"
    mac, event_hash = chain.link(key, row.prev_hash, row.body)
    if not hmac.compare_digest(mac, row.mac):
        return "mac-invalid"
    if event_hash != row.event_hash:
        return "hash-invalid"
    return None if chain.copies(row) == chain.copied(body) else "column-differs"


def altered_columns(row: Any) -> str | None:
    """Return a reason code if an event's hash or columns are wrong; do not check its MAC."""
    body = _body(row)
    if body is None:
        return "body-invalid"
    if merkle.event_hash(row.prev_hash, row.body, row.mac) != row.event_hash:
        return "hash-invalid"
    return None if chain.copies(row) == chain.copied(body) else "column-differs"


def fault(row: PendingEvent, keys: Mapping[str, bytes]) -> str | None:
    """Return a reason code if an event or its link is wrong, or None."""
    reason = altered(row, keys)
    if reason is not None:
        return reason
    if row.writer_seq == 0:
        started = row.prev_hash == chain.genesis(row.writer_id) and row.typ == Event.WRITER_START
        return None if started else "start-invalid"
    if row.before_hash is None:
        return "predecessor-missing"
    return None if row.before_hash == row.prev_hash else "link-invalid"


def _body(row: Any) -> dict[str, Any] | None:
    try:
        body = json.loads(row.body)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _hash(row: PendingEvent) -> bytes:
    """Return the hash of the stored bytes; the tree commits to them, not to the hash column."""
    return merkle.event_hash(row.prev_hash, row.body, row.mac)
