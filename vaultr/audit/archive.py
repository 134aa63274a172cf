"""The events about an account as records of its archive, read in batches."""

import json
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.audit.models import AuditEvent
from vaultr.protocol.encoding import b64

EVENTS_A_BATCH: Final = 500


def archive_events(work: Session, account_id: UUID) -> Iterator[str]:
    """Yield the events about an account as JSON, oldest first; `/audit/export` has their proofs."""
    events = AuditEvent
    columns = (events.t.label("moment"), events.event_id, events.body, events.prev_hash, events.mac)
    query = sa.select(*columns).where(events.sub == str(account_id))
    query = query.order_by(events.t, events.event_id).limit(EVENTS_A_BATCH)
    rows = work.execute(query).all()
    while rows:
        for row in rows:
            record = {
                "id": str(row.event_id),
                # a tampered event: continue with the others
                "body": row.body.decode(errors="replace"),
                "prev": b64(row.prev_hash),
                "mac": b64(row.mac),
            }
            yield json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        place = sa.tuple_(events.t, events.event_id)
        last = sa.tuple_(sa.literal(rows[-1].moment, events.t.type), sa.literal(rows[-1].event_id))
        rows = work.execute(query.where(place > last)).all()
