"""Encode an event as a row: canonical JSON body, chain link, and the statements that insert it."""

import hashlib
import hmac
import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from uuid6 import uuid7

from vaultr import clock, request_context
from vaultr.audit import chain
from vaultr.audit.chain_pool import Writer
from vaultr.audit.denied_requests import MINUTE_SECONDS, Denied
from vaultr.audit.events import Event
from vaultr.database.prepared_statements import PLANNED
from vaultr.request_context import NOWHERE, Actor, Origin
from vaultr.security import keyring
from vaultr.settings.model import current_settings
from vaultr.version import __version__

_COLUMNS = (
    "event_id", "epoch", "writer_id", "writer_seq", "prev_hash", "body", "mac", "event_hash",
    "sub", "act", "typ", "out", "t", "detail", "detail_salt",
)  # fmt: skip
_NAMES = ", ".join(_COLUMNS)
_STEP = timedelta(microseconds=1)
_DETAIL = b"vaultr/audit/detail/v1\0"
SALT_BYTES = 32

_POSTGRESQL = (
    f"WITH ev AS (INSERT INTO audit_event ({_NAMES})"  # nosec B608 # constant names
    f" VALUES ({', '.join(f'%({name})s' for name in _COLUMNS)}) RETURNING event_id)"
    " INSERT INTO audit_pending (event_id) SELECT event_id FROM ev"
)
_SQLITE = (
    f"INSERT INTO audit_event ({_NAMES})"  # nosec B608 # constant names
    f" VALUES ({', '.join(f':{name}' for name in _COLUMNS)})",
    "INSERT INTO audit_pending (event_id) VALUES (:event_id)",
)
_TYPES = {
    "event_id": "uuid", "epoch": "bigint", "writer_id": "bytea", "writer_seq": "bigint",
    "prev_hash": "bytea", "body": "bytea", "mac": "bytea", "event_hash": "bytea",
    "t": "timestamptz", "detail": "bytea", "detail_salt": "bytea",
}  # fmt: skip
_KINDS = {name: _TYPES.get(name, "text") for name in _COLUMNS}
_CASTS = ", ".join(f"CAST(:ev_{name} AS {kind})" for name, kind in _KINDS.items())
_DRIVER_CASTS = ", ".join(f"CAST(%(ev_{name})s AS {kind})" for name, kind in _KINDS.items())

# RFC 8785 for these bodies: sorted ASCII names, strings, integers, no spaces.
canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


@dataclass(frozen=True, slots=True)
class EventFields:
    """The members of a body that do not depend on its position in a chain.

    :ivar detail: personal details as JSON; the body contains only a commitment to them.
    """

    typ: Event
    act: str
    sub: str
    obj: Mapping[str, Any] | None
    out: str
    sid: str | None
    net: Mapping[str, str] | None
    req: str | None
    detail: bytes | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of ``audit_event``, in the driver's types."""

    event_id: UUID
    moment: datetime
    values: dict[str, Any]


def fields_of(
    event: Event,
    *,
    account_id: UUID | None,
    actor: Actor | None,
    obj: Mapping[str, Any] | None,
    out: str,
    reason: str | None,
    session_id: UUID | None,
) -> EventFields:
    """Complete the arguments of `record` with the actor and origin of the request."""
    acting = actor or request_context.actor_or_none()
    origin = request_context.current_origin()
    inside = origin is not NOWHERE
    if session_id is None and acting is not None and acting.kind == "account":
        session_id = acting.session_id
    return EventFields(
        typ=event,
        act=_act(acting, account_id, inside=inside, out=out),
        sub=str(account_id) if account_id else "anon" if inside else "system",
        obj=obj,
        out=f"{out}:{reason}" if reason else out,
        sid=str(session_id) if session_id else None,
        net={"client": origin.family, "prefix": origin.network} if inside else None,
        req=origin.request_id if inside else None,
        detail=_detail(origin) if inside else None,
    )


def _detail(origin: Origin) -> bytes | None:
    """Return the personal details of a request if AUDIT_DETAIL is on."""
    settings = current_settings()
    if settings.audit_detail == "off":
        return None
    return canonical({"address": origin.peer, "agent": origin.agent}).encode()


def _act(actor: Actor | None, account_id: UUID | None, *, inside: bool, out: str) -> str:
    if actor is not None:
        return str(actor.id)
    if not inside:
        return "system"
    # A success without a session (login, emailed token) required the account's own secret.
    return str(account_id) if account_id and out == "ok" else "anon"


def next_row(writer: Writer, event: EventFields, *, origin: str, postgresql: bool) -> EventRow:
    """Chain an event to the writer's head, and advance the head. `Writer.restore` undoes this."""
    moment = max(clock.now(), writer.last + _STEP)
    event_id, ring = uuid7(), keyring.current().audit
    salt = secrets.token_bytes(SALT_BYTES) if event.detail is not None else None
    place = {"w": writer.id.hex(), "n": writer.seq, "t": clock.text(moment)}
    signed = {"v": 1, "k": ring.current_id, "log": origin, "eid": str(event_id), **place}
    body, prev = canonical({**signed, **_members(event, salt)}).encode(), writer.head
    mac, event_hash = chain.link(ring.current, prev, body)
    naive = moment.replace(tzinfo=None).isoformat(" ", "microseconds")
    values = {
        "event_id": str(event_id) if postgresql else event_id.hex,
        "epoch": writer.epoch,
        "writer_id": writer.id,
        "writer_seq": writer.seq,
        "prev_hash": prev,
        "body": body,
        "mac": mac,
        "event_hash": event_hash,
        "sub": event.sub,
        "act": event.act,
        "typ": event.typ.value,
        "out": event.out,
        "t": f"{naive}+00" if postgresql else naive,
        "detail": event.detail,
        "detail_salt": salt,
    }
    writer.seq, writer.head, writer.last = writer.seq + 1, event_hash, moment
    return EventRow(event_id, moment, values)


def _members(event: EventFields, salt: bytes | None) -> dict[str, Any]:
    return {
        "typ": event.typ.value,
        "act": event.act,
        "sub": event.sub,
        "obj": event.obj,
        "out": event.out,
        "req": event.req,
        "sid": event.sid,
        "net": event.net,
        "dc": detail_commitment(salt, event.detail) if salt and event.detail else None,
    }


def insert(connection: sa.Connection, row: EventRow, *, postgresql: bool) -> bool:
    """Insert an event and its pending row; return whether both were inserted."""
    if postgresql:
        inserted = connection.exec_driver_sql(_POSTGRESQL, row.values, execution_options=PLANNED)
        return inserted.rowcount == 1
    return all(
        connection.exec_driver_sql(statement, row.values).rowcount == 1 for statement in _SQLITE
    )


def ctes(gate: str, *, driver: bool = False) -> str:
    """Return the parts of a WITH clause that insert an event if the part ``gate`` has a row.

    `prefixed` returns their parameters. The part ``pend`` has a row if the event was inserted.

    :param driver: write parameters in the style of psycopg2, for `exec_driver_sql`.
    """
    casts = _DRIVER_CASTS if driver else _CASTS
    return (
        f"ev AS (INSERT INTO audit_event ({_NAMES}) SELECT {casts}"  # nosec B608 # constant names
        f" WHERE EXISTS (SELECT 1 FROM {gate}) RETURNING event_id),"
        " pend AS (INSERT INTO audit_pending (event_id) SELECT event_id FROM ev RETURNING event_id)"
    )


def prefixed(row: EventRow) -> dict[str, Any]:
    """Return the parameters of `ctes`."""
    return {f"ev_{name}": value for name, value in row.values.items()}


def start(writer: Writer) -> EventFields:
    """Return the event ``writer.start``: build, host, and the previous writer."""
    after = writer.after
    host = hmac.digest(
        keyring.current().audit.derived("host"), socket.gethostname().encode(), "sha256"
    )
    return system(
        Event.WRITER_START,
        {
            "kind": "writer",
            "build": __version__,
            "host": host[:8].hex(),
            "predecessor": after.writer_id.hex() if after else None,
            "end": after.end if after else None,
        },
    )


def denied(denied: Denied) -> EventFields:
    """Return the event about requests denied within a minute."""
    minute = datetime.fromtimestamp(denied.minute * MINUTE_SECONDS, UTC)
    obj = {"kind": "requests", "minute": clock.text(minute), "count": denied.count}
    net = {"client": "any", "prefix": denied.network}
    return EventFields(denied.event, "anon", "anon", obj, f"deny:{denied.reason}", None, net, None)


def system(event: Event, obj: Mapping[str, Any], *, by: str = "system") -> EventFields:
    """Return an event of the server itself or of an operator."""
    return EventFields(event, by, "system", obj, "ok", None, None, None)


def detail_commitment(salt: bytes, detail: bytes) -> str:
    """Return the commitment to personal details, in hexadecimal."""
    return hashlib.sha256(_DETAIL + salt + detail).hexdigest()
