"""The hash chain of one writer: compute and check its links."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_WRITER = b"vaultr/audit/writer/v1\0"
_ROW = b"vaultr/audit/row/v1\0"
_EVENT = b"vaultr/audit/event/v1\0"


class ChainedEvent(Protocol):
    """The columns of ``audit_event`` that the check needs."""

    event_id: Any
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
    t: Any


@dataclass(frozen=True, slots=True)
class EventFault:
    """A fault of one event."""

    writer: str
    seq: int
    fault: str


def genesis(writer_id: bytes) -> bytes:
    """Return the hash that a writer's first event is chained to."""
    return hashlib.sha256(_WRITER + writer_id).digest()


def link(key: bytes, prev: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Return the MAC and the hash of the event after ``prev``."""
    tail = _tail(prev, body)
    mac = hmac.digest(key, _ROW + tail, "sha256")
    return mac, hashlib.sha256(_EVENT + tail + mac).digest()


def mac_of(key: bytes, prev: bytes, body: bytes) -> bytes:
    """Return the MAC of the event after ``prev``."""
    return hmac.digest(key, _ROW + _tail(prev, body), "sha256")


def _tail(prev: bytes, body: bytes) -> bytes:
    return prev + len(body).to_bytes(8, "big") + body


def verify(rows: Iterable[ChainedEvent], keys: Mapping[str, bytes]) -> list[EventFault]:
    """Check complete chains: each must start at its first event, and have no gap and no fork.

    :param rows: all events of each writer, in any order.
    :param keys: the row keys by their id.
    :return: the faults, ordered by writer; empty if every chain is intact.
    """
    findings: list[EventFault] = []
    heads: dict[bytes, tuple[int, bytes, str]] = {}
    for row in sorted(rows, key=lambda row: (row.writer_id, row.writer_seq)):
        start = (0, genesis(row.writer_id), "")
        seq, head, last = heads.get(row.writer_id, start)
        body = json.loads(row.body)
        wrong = _faults(row, body, expected=(seq, head, last), keys=keys)
        findings += [EventFault(row.writer_id.hex(), row.writer_seq, fault) for fault in wrong]
        heads[row.writer_id] = (row.writer_seq + 1, row.event_hash, body.get("t", ""))
    return findings


def _faults(
    row: ChainedEvent,
    body: dict[str, Any],
    *,
    expected: tuple[int, bytes, str],
    keys: Mapping[str, bytes],
) -> list[str]:
    seq, head, last = expected
    key = keys.get(body.get("k", ""))
    tail = _tail(row.prev_hash, row.body)
    mac = hmac.digest(key or b"", _ROW + tail, "sha256")
    checks = {
        "an event is missing or duplicated": row.writer_seq == seq,
        "it is not chained to the previous event": row.prev_hash == head,
        "its key is unknown": key is not None,
        "its MAC is wrong": key is None or hmac.compare_digest(mac, row.mac),
        "its hash is wrong": hashlib.sha256(_EVENT + tail + row.mac).digest() == row.event_hash,
        "its time is not after the previous event": body.get("t", "") > last,
        "the first event is not writer.start": seq > 0 or row.typ == "writer.start",
        "a column differs from the body": copies(row) == copied(body),
    }
    return [fault for fault, passed in checks.items() if not passed]


def copies(row: Any) -> tuple[Any, ...]:
    """Return the columns that are copied from the body."""
    moment = row.t.isoformat(timespec="microseconds").replace("+00:00", "Z")
    writer = (str(row.event_id), row.writer_id.hex(), row.writer_seq, moment)
    return (*writer, row.sub, row.act, row.typ, row.out)


def copied(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the members of the body that columns copy."""
    get = body.get  # one statement for each name: a generator takes twice as long
    writer = (get("eid"), get("w"), get("n"), get("t"))
    return (*writer, get("sub"), get("act"), get("typ"), get("out"))


def object_of(body: bytes, typ: str) -> dict[str, Any] | None:
    """Return the object of an event; None if its type differs or it is malformed."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(members, dict) or members.get("typ") != typ:
        return None
    obj = members.get("obj")
    return obj if isinstance(obj, dict) else None


def subject(row: Any) -> str:
    """Return the signed subject of an event; if the body has none, the subject in the column."""
    try:
        signed = json.loads(row.body)["sub"]
        signed.encode()
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return str(row.sub)
    return str(signed)
