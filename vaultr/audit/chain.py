"""How the events of one writer are chained, and how a chain is checked."""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_WRITER = b"vaultr/audit/writer/v1\0"
_ROW = b"vaultr/audit/row/v1\0"
_EVENT = b"vaultr/audit/event/v1\0"


class Row(Protocol):
    """What a check looks at: a row of ``audit_event``."""

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
class Finding:
    """What is wrong with one event."""

    writer: str
    seq: int
    what: str


def genesis(writer_id: bytes) -> bytes:
    """Give what the first event of a writer is chained to."""
    return hashlib.sha256(_WRITER + writer_id).digest()


def link(key: bytes, prev: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Give the MAC and the hash of an event that comes after ``prev``."""
    tail = _tail(prev, body)
    mac = hmac.digest(key, _ROW + tail, "sha256")
    return mac, hashlib.sha256(_EVENT + tail + mac).digest()


def _tail(prev: bytes, body: bytes) -> bytes:
    return prev + len(body).to_bytes(8, "big") + body


def verify(rows: Iterable[Row], keys: Mapping[str, bytes]) -> list[Finding]:
    """Check whole chains: every writer from its first event on, without a gap or a fork.

    :param rows: events in any order; all there are of each writer.
    :param keys: the row keys by their id.
    :return: what is wrong, writer by writer; empty when all holds.
    """
    findings: list[Finding] = []
    heads: dict[bytes, tuple[int, bytes, str]] = {}
    for row in sorted(rows, key=lambda row: (row.writer_id, row.writer_seq)):
        start = (0, genesis(row.writer_id), "")
        seq, head, last = heads.get(row.writer_id, start)
        body = json.loads(row.body)
        wrong = _wrong(row, body, expected=(seq, head, last), keys=keys)
        findings += [Finding(row.writer_id.hex(), row.writer_seq, what) for what in wrong]
        heads[row.writer_id] = (row.writer_seq + 1, row.event_hash, body.get("t", ""))
    return findings


def _wrong(
    row: Row,
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
        "an event is missing or there twice": row.writer_seq == seq,
        "it is not chained to the event before": row.prev_hash == head,
        "its key is unknown": key is not None,
        "its MAC is wrong": key is None or hmac.compare_digest(mac, row.mac),
        "its hash is wrong": hashlib.sha256(_EVENT + tail + row.mac).digest() == row.event_hash,
        "its time does not grow": body.get("t", "") > last,
        "its first event is no writer.start": seq > 0 or row.typ == "writer.start",
        "a column is no copy of the body": _copies(row) == _copied(body),
    }
    return [what for what, good in checks.items() if not good]


def _copies(row: Row) -> tuple[Any, ...]:
    moment = row.t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    writer = (str(row.event_id), row.writer_id.hex(), row.writer_seq, moment)
    return (*writer, row.sub, row.act, row.typ, row.out)


def _copied(body: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(body.get(name) for name in ("eid", "w", "n", "t", "sub", "act", "typ", "out"))
