"""The common refresh in one statement: an unused token, from the session's usual network.

One autocommitted statement counts the refresh, rotates the token and inserts the audit event; a
transaction would take seven round trips. The slow path handles all other cases under locks: SQLite,
a rotated token, another network, a parallel refresh.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.database.raw_driver import AutocommitConnection
from vaultr.database.session import one_statement, postgresql
from vaultr.database.sql import planned
from vaultr.ratelimit.sliding_window import Slots
from vaultr.request_context import Actor, current_origin

# Look up the token by its key first. A plan made while the tables were small might scan all tokens
# of the session, which can be thousands.
_FIND: Final = (
    "WITH t AS MATERIALIZED (SELECT session_id, nonce FROM refresh_tokens WHERE token_hash = {})"
    " SELECT s.id, s.account_id, s.expires_at, a.epoch, t.nonce,"
    " s.refresh_slot, s.refreshes, s.refreshes_before"
    " FROM t JOIN sessions s ON s.id = t.session_id JOIN accounts a ON a.id = s.account_id"
)
_FIND_RAW: Final = _FIND.format("%(hash)s")
_FIND_STATEMENT: Final = planned(_FIND.format(":hash"))

# If a parallel refresh of the session changed its count, this statement does nothing: `kept` has no
# row, so `gate` (the rotated token) and `pend` (the inserted event) have none either. If the token
# was rotated but the event was not inserted, the last SELECT divides by zero: the error undoes all.
_ROTATE: Final = (
    "WITH kept AS (UPDATE sessions s SET last_used_at = %(now)s, idle_until = %(idle_until)s,"
    " refresh_slot = %(slot)s, refreshes = %(hits)s, refreshes_before = %(hits_before)s"
    " FROM accounts a WHERE s.id = %(sid)s AND a.id = s.account_id AND a.epoch = %(epoch)s"
    " AND s.refresh_slot = %(found_slot)s AND s.refreshes = %(found_hits)s"
    " AND s.idle_until > %(now)s AND s.network = %(network)s AND s.family = %(family)s"
    " RETURNING s.id),"
    " gate AS (UPDATE refresh_tokens t SET nonce = %(nonce)s, rotated_at = %(now)s FROM kept"
    " WHERE t.token_hash = %(hash)s AND t.nonce IS NULL RETURNING kept.id),"
    " next AS (INSERT INTO refresh_tokens (token_hash, session_id, created_at, signed_by)"
    " SELECT %(next_hash)s, gate.id, %(now)s, %(kid)s FROM gate),"
    f" {audit.Prepared.ctes('gate', driver=True)}"  # nosec B608 - constants only
    " SELECT EXISTS (SELECT 1 FROM pend) AS done, 1 / CASE WHEN EXISTS (SELECT 1 FROM gate)"
    " AND NOT EXISTS (SELECT 1 FROM pend) THEN 0 ELSE 1 END AS sure"
)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """The session of a refresh token, and whether the token was rotated before.

    :ivar refreshes: recent refreshes of the session.
    """

    session_id: UUID
    account_id: UUID
    expires_at: datetime
    epoch: int
    rotated: bool
    refreshes: Slots


def find_token(connection: AutocommitConnection, token_hash: bytes) -> StoredToken | None:
    """Return a token's session and the account's epoch, or None if the token is unknown."""
    values = {"hash": token_hash}
    if postgresql():
        rows = connection.run(_FIND_RAW, values)
        return _stored_token(rows.one()) if rows else None
    with one_statement() as single:
        row = single.execute(_FIND_STATEMENT, values).one_or_none()
    return None if row is None else _stored_token(row)


def rotate_token(
    connection: AutocommitConnection, found: StoredToken, counted: Slots, values: Mapping[str, Any]
) -> bool:
    """Rotate an unused token, count and record it; return whether this was done.

    A refresh changes the session's row only if the row still has the count that the refresh read.
    So of several parallel refreshes one rotates the token, and the others do nothing.

    :param counted: recent refreshes of the session, including this one.
    :param values: hash, now, nonce, next_hash, idle_until and kid, as for `ROTATE`.
    :raises AuditUnavailable: the event cannot be recorded; nothing is rotated.
    """
    if not postgresql() or found.rotated:
        return False
    origin = current_origin()
    here = {"network": origin.network, "family": origin.family, "epoch": found.epoch}
    before = {"found_slot": found.refreshes.number, "found_hits": found.refreshes.hits}
    actor = Actor(found.account_id, found.session_id, found.epoch)
    prepared = audit.prepared(Event.SESSION_REFRESH, account_id=found.account_id, actor=actor)
    with prepared as event:
        parameters = {**values, **here, **before, **slot_parameters(counted), **event.parameters}
        done = bool(connection.run(_ROTATE, {**parameters, "sid": found.session_id}).one().done)
        event.done(inserted=done)
    return done


def slot_parameters(counted: Slots) -> dict[str, int]:
    """Return the statement parameters for the recent refreshes of a session."""
    return {"slot": counted.number, "hits": counted.hits, "hits_before": counted.before}


def refreshes(row: Any) -> Slots:
    """Return the recent refreshes of a session, from its row."""
    return Slots(row.refresh_slot, row.refreshes, row.refreshes_before)


def _stored_token(row: Any) -> StoredToken:
    return StoredToken(
        row.id, row.account_id, row.expires_at, row.epoch, row.nonce is not None, refreshes(row)
    )
