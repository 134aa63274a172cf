"""The chain of one writer: known answers, and every change is detected."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from vaultr.audit import chain, event_encoding

KEY = b"k" * 32
WRITER = bytes(range(16))
# audit-log.md, section 9.
GENESIS = "b438a246e6b99cb7aa460eb3feadbdaee3773be0c8a4e24219024f536ba4597c"
KNOWN = [
    ("", "writer.start", "b0b8e96a427bd6ad117a5ebd49eba26a4b1abee7b81778a9286481cdcb0bd110"),
    ("user-1", "auth.login.ok", "4bd00090df201ab3cae23a0d3bcecfeab39a73097211912c9cf1992d87062935"),
    ("user-1", "item.update", "986b69de4c50288cf8cf7c4af7e77bb762f1e0ae2f3e3135121012f4f683dce1"),
    ("user-2", "item.read", "6253a114f8f28de9fe4b14791f8ed31c60154ca6cf5c79fe20aee7f68576083e"),
]


@dataclass
class Row:
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


def chained(count, *, writer=WRITER, key=KEY):
    """Return a chain of ``count`` events in the form of a table."""
    made, head = [], chain.genesis(writer)
    for seq in range(count):
        moment = datetime(2026, 11, 24, tzinfo=UTC) + timedelta(microseconds=seq)
        fields = {
            "typ": "item.read" if seq else "writer.start",
            "act": "ann",
            "sub": "ann",
            "out": "ok",
        }
        body = {
            "k": "2026",
            "eid": str(UUID(int=seq)),
            "w": writer.hex(),
            "n": seq,
            "t": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            **fields,
        }
        data = json.dumps(body).encode()
        mac, event_hash = chain.link(key, head, data)
        made.append(
            Row(UUID(int=seq), 202611, writer, seq, head, data, mac, event_hash, t=moment, **fields)
        )
        head = event_hash
    return made


def found(events):
    return {finding.fault for finding in chain.verify(events, {"2026": KEY})}


def test_hashes_match_known_answers():
    head, hashes = chain.genesis(WRITER), []
    for seq, (sub, typ, _) in enumerate(KNOWN):
        body = (
            f'{{"eid":"00000000-0000-7000-8000-00000000000{seq}","n":{seq},"sub":"{sub}",'
            f'"typ":"{typ}","v":1,"w":"{WRITER.hex()}"}}'
        )
        _, head = chain.link(KEY, head, body.encode())
        hashes.append(head.hex())

    assert chain.genesis(WRITER).hex() == GENESIS
    assert hashes == [known for _, _, known in KNOWN]


def test_complete_chains_verify_in_any_order():
    both = chained(4) + chained(3, writer=b"w" * 16)

    assert chain.verify(reversed(both), {"2026": KEY}) == []


def test_event_edited_without_key_is_detected():
    events = chained(4)
    body = events[2].body.replace(b'"item.read"', b'"item.xxxx"')
    events[2] = replace(events[2], body=body, typ="item.xxxx")

    assert found(events) == {"its MAC is wrong", "its hash is wrong"}


def test_event_rehashed_with_the_key_breaks_the_next_link():
    events = chained(4)
    body = events[2].body.replace(b'"item.read"', b'"item.xxxx"')
    mac, event_hash = chain.link(KEY, events[2].prev_hash, body)
    events[2] = replace(events[2], body=body, typ="item.xxxx", mac=mac, event_hash=event_hash)

    assert found(events) == {"it is not chained to the previous event"}


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_missing_event_before_the_last_is_detected(gone):
    events = chained(4)
    del events[gone]

    assert "an event is missing or duplicated" in found(events)


def test_duplicate_event_is_detected():
    events = chained(4)

    assert "an event is missing or duplicated" in found([*events, events[3]])


def test_chain_under_wrong_or_unknown_key_is_detected():
    assert found(chained(2, key=b"x" * 32)) == {"its MAC is wrong"}
    assert {one.fault for one in chain.verify(chained(2), {})} == {"its key is unknown"}


@pytest.mark.parametrize("column", ["sub", "act", "typ", "out"])
def test_column_that_differs_from_body_is_detected(column):
    events = chained(4)
    events[3] = replace(events[3], **{column: "bob"})

    assert found(events) == {"a column differs from the body"}


def test_event_not_later_than_previous_is_detected():
    events = chained(2)
    body = events[1].body.replace(b"000001Z", b"000000Z")
    mac, event_hash = chain.link(KEY, events[1].prev_hash, body)
    events[1] = replace(events[1], body=body, mac=mac, event_hash=event_hash, t=events[0].t)

    assert found(events) == {"its time is not after the previous event"}


def test_event_body_uses_canonical_json():
    """RFC 8785, section 3.2.2.2: the shortest escapes, all else unchanged."""
    body = {"n": 10, "b": None, "a": '€$\x0f\nA\'B"\\"/', "c": [True, {"y": 1, "x": "é"}]}

    text = event_encoding.canonical(body)

    assert text == (
        '{"a":"€$\\u000f\\nA\'B\\"\\\\\\"/","b":null,"c":[true,{"x":"é","y":1}],"n":10}'
    )
