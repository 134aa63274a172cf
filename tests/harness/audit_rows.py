"""Insert many pending events as servers would have recorded them (PostgreSQL only)."""

import secrets
from uuid import uuid4

from psycopg2.extras import execute_values

from vaultr import clock
from vaultr.audit import chain, chain_pool, event_encoding, log_name
from vaultr.audit.chain_pool import Writer
from vaultr.audit.event_encoding import EventFields
from vaultr.audit.events import Event
from vaultr.database.session import db, transaction

PAGE = 2000
COLUMNS = ", ".join(event_encoding._COLUMNS)


def fill(count, *, accounts=1000):
    """Record ``count`` events of one writer about ``accounts`` accounts."""
    with transaction():
        origin = log_name.current()
    now = clock.now()
    writer = Writer(secrets.token_bytes(16), chain_pool.epoch_of(now), 0, None)
    writer.head = chain.genesis(writer.id)
    subjects = [str(uuid4()) for _ in range(accounts)]
    rows, number = [_row(writer, event_encoding.start(writer), origin)], 1
    while rows:
        _insert(rows)
        rows = [
            _row(writer, _read(subjects[at % accounts]), origin)
            for at in range(number, min(number + PAGE, count))
        ]
        number += len(rows)


def _read(account):
    obj = {"kind": "vault", "id": account, "items": 1}
    return EventFields(
        Event.ITEM_READ, act=account, sub=account, obj=obj, out="ok", sid=None,
        net={"client": "vaultr", "prefix": "192.0.2.0/24"}, req=account,
    )  # fmt: skip


def _row(writer, fields, origin):
    row = event_encoding.next_row(writer, fields, origin=origin, postgresql=True)
    return tuple(row.values[name] for name in event_encoding._COLUMNS)


def _insert(rows):
    connection = db.engine.raw_connection()
    try:
        with connection.cursor() as cursor:
            execute_values(
                cursor, f"INSERT INTO audit_event ({COLUMNS}) VALUES %s", rows, page_size=500
            )
            ids = [row[:1] for row in rows]
            execute_values(
                cursor, "INSERT INTO audit_pending (event_id) VALUES %s", ids, page_size=2000,
                template="(CAST(%s AS uuid))",
            )  # fmt: skip
        connection.commit()
    finally:
        connection.close()
