"""Accepted bodies: one JSON value, parsed more strictly than the standard requires."""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vaultr.errors import BadRequest, UnsupportedMediaType
from vaultr.wire import field_types, strict_json

DEEP = 32


def rejected(data):
    with pytest.raises(BadRequest) as rejection:
        strict_json.parse(data)
    return rejection.value


def nested(opening, closing, depth):
    return (opening * depth + "1" + closing * depth).encode()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": 1, "b": [true, null, "x"]}', {"a": 1, "b": [True, None, "x"]}),
        (b' \t\r\n{"a":1}\n', {"a": 1}),
        (b"[-9007199254740991, 9007199254740991]", [-9007199254740991, 9007199254740991]),
        (b"[3.0, -0, 1e3, 0.5]", [3, 0, 1000, 0.5]),
        ('["ä€😀"]'.encode(), ["ä€😀"]),
        (rb'["\ud83d\ude00 \u00e4 \/"]', ["😀 ä /"]),
        (rb'["\\n"]', ["\\n"]),
        (nested("[", "]", DEEP), None),
        (nested('{"a":', "}", DEEP), None),
    ],
)
def test_plain_json_is_read(data, value):
    read = strict_json.parse(data)

    assert value is None or read == value


def test_whole_float_becomes_an_integer():
    assert type(strict_json.parse(b"[3.0]")[0]) is int


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" ", id="blank"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"a":1}{', id="more after it"),
        pytest.param(b'{"a":1} x', id="text after it"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"{a:1}", id="key without quotes"),
        pytest.param(b'{"a":1,}', id="comma at the end"),
        pytest.param(b"[1,,2]", id="two commas"),
        pytest.param(b"[01]", id="leading zero"),
        pytest.param(b"[+1]", id="plus"),
        pytest.param(b"[.5]", id="no digit before the point"),
        pytest.param(b"[0x10]", id="hexadecimal"),
        pytest.param("[٣]".encode(), id="other digits"),
        pytest.param(b"// x\n1", id="comment"),
        pytest.param(b'{"a":1,"a":2}', id="a key twice"),
        pytest.param(rb'{"a":1,"\u0061":2}', id="a key twice, once escaped"),
        pytest.param(b'[{"b":{"a":1,"a":1}}]', id="a key twice, inside"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="-Infinity"),
        pytest.param(b"[1e999]", id="infinite by its exponent"),
        pytest.param(b"[1e17]", id="float out of range"),
        pytest.param(b"[9007199254740992]", id="over 2^53 - 1"),
        pytest.param(b"[-9007199254740992]", id="under -(2^53 - 1)"),
        pytest.param(b"[" + b"9" * 100 + b"]", id="100 digits"),
        pytest.param(b"[" + b"9" * 100_000 + b"]", id="more digits than int() takes"),
        pytest.param(rb'["\ud800"]', id="high surrogate alone"),
        pytest.param(rb'["\udc00"]', id="low surrogate alone"),
        pytest.param(rb'["\udc00\ud800"]', id="surrogates the wrong way round"),
        pytest.param(rb'{"\ud800":1}', id="surrogate in a key"),
        pytest.param(b'["\xed\xa0\x80"]', id="surrogate in UTF-8"),
        pytest.param(b'["a\x00b"]', id="NUL"),
        pytest.param(rb'["a\u0000b"]', id="NUL, escaped"),
        pytest.param(rb'{"a\u0000":1}', id="NUL in a key"),
        pytest.param(b'["a\nb"]', id="line feed"),
        pytest.param(rb'["a\nb"]', id="line feed, escaped"),
        pytest.param(rb'["a\u001fb"]', id="control character, escaped"),
        pytest.param(b'["a\x7fb"]', id="DEL"),
        pytest.param('["a\x85b"]'.encode(), id="C1 control character"),
        pytest.param(rb'["a\u0085b"]', id="C1 control character, escaped"),
        pytest.param(nested("[", "]", DEEP + 1), id="nested over 32"),
        pytest.param(nested('{"a":', "}", DEEP + 1), id="objects nested over 32"),
        pytest.param(b"[" * 100_000, id="nested 100,000 deep"),
        pytest.param(b'{"a":' * 100_000, id="objects nested 100,000 deep"),
        pytest.param(b'["\xff"]', id="not UTF-8"),
        pytest.param(b'["\xc0\x80"]', id="overlong UTF-8"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param('{"a":1}'.encode("utf-32"), id="UTF-32"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte order mark"),
    ],
)
def test_invalid_json_is_rejected(data):
    rejection = rejected(data)

    assert rejection.slug == "bad-request"
    assert rejection.errors == ()


def test_error_repeats_nothing_of_the_body():
    assert "hunter2" not in rejected(b'{"hunter2": hunter2}').detail


def test_body_with_more_than_10000_keys_is_rejected():
    def body(keys):
        return json.dumps([{f"k{n}": n for n in range(keys - 1)}, {"a": 1}]).encode()

    assert len(strict_json.parse(body(10_000))) == 2
    assert rejected(body(10_001)).detail == "The body has too many keys."
    assert len(strict_json.parse(body(10_001), max_keys=200_000)) == 2


@pytest.mark.parametrize("part", [b"0,", b"[],", b"{},", b'"",'])
def test_too_many_values_without_keys_are_rejected(part):
    """16 MiB of them would keep a worker busy for seconds."""
    rejected(b"[" + part * 40_000 + b"0]")


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists, max_leaves=20))
def test_parsed_value_equals_written_value_or_is_rejected(value):
    data = json.dumps(value).encode()

    try:
        read = strict_json.parse(data)
    except BadRequest:
        return
    assert read == value


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_bad_request(data):
    with contextlib.suppress(BadRequest):
        strict_json.parse(data)


@pytest.mark.parametrize(
    "value",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON ; Charset="utf-8"',
        "application/json;",
    ],
)
def test_utf_8_json_media_type_is_accepted(value):
    strict_json.check_media_type(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "text/plain",
        "application/jsonp",
        "application/problem+json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; boundary=x",
        "application/json, application/json",
        "application/x-www-form-urlencoded",
    ],
)
def test_other_media_type_is_rejected(value):
    with pytest.raises(UnsupportedMediaType):
        strict_json.check_media_type(value)


class Sent(field_types.In):
    id: field_types.Id | None = None
    octets: Annotated[bytes, field_types.Octets(2, 4)] | None = None
    key: field_types.Bytes32 | None = None
    number: field_types.Int | None = None
    moment: field_types.Time | None = None
    text: str | None = None


def field(**value):
    [(name, _)] = value.items()
    return getattr(Sent.model_validate(value), name)


ID = "0a1b2c3d-0000-4000-8000-00000000000f"


def test_field_types_parse_their_canonical_form():
    assert field(id=ID) == UUID(ID)
    assert field(octets="AAA") == b"\0\0"
    assert field(key="A" * 43) == bytes(32)
    assert field(number=2**53 - 1) == 2**53 - 1
    assert field(moment="2026-11-24T09:30:00Z") == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    assert field(moment="2026-11-24T09:30:00.5Z").microsecond == 500_000


@pytest.mark.parametrize(
    "value",
    [
        *({"id": one} for one in (ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"{ID}\n", 7)),
        {"id": f"urn:uuid:{ID}"},
        *({"octets": one} for one in ("AA", "AAAAAAA", "AAA=", "AA+A", "AA/A", "AB", " AAA", 7)),
        {"octets": "AAB"},  # spare bits that are not zero
        *({"key": one} for one in ("A" * 42, "A" * 44, "", "A" * 42 + "B")),
        *({"number": one} for one in (-1, 2**53, True, "3", 0.5, [3])),
        *(
            {"moment": one}
            for one in (
                "2026-11-24T09:30:00+00:00",
                "2026-11-24T09:30:00",
                "2026-11-24 09:30:00Z",
                "2026-11-24t09:30:00z",
                "2026-11-24",
                "2026-02-30T00:00:00Z",
                "2026-11-24T23:59:60Z",
                "2026-11-24T09:30:00.1234567Z",
                "٢٠٢٦-11-24T09:30:00Z",
                1764000000,
            )
        ),
        {"text": 7},
        {"unknown": 1},
    ],
    ids=str,
)
def test_malformed_value_is_rejected(value):
    with pytest.raises(ValidationError):
        Sent.model_validate(value)


@pytest.mark.parametrize("body", [None, [], "x", 7, True])
def test_other_top_level_type_is_rejected(body):
    with pytest.raises(ValidationError):
        Sent.model_validate(body)


class Shown(field_types.Out):
    id: field_types.Id
    key: field_types.Bytes
    moment: field_types.Time


def test_responses_use_canonical_forms():
    moment = datetime(2026, 11, 24, 10, 30, tzinfo=timezone(timedelta(hours=1)))

    text = Shown(id=UUID(ID), key=b"\xff\xfe", moment=moment).model_dump_json()

    assert json.loads(text) == {"id": ID, "key": "__4", "moment": "2026-11-24T09:30:00.000000Z"}


class Requested(field_types.Page):
    since: int = 0
    known: field_types.Int | None = None
    dry_run: bool = False
    word: str | None = None


def test_numbers_are_parsed_from_query_text():
    requested = Requested.model_validate(
        {"limit": "200", "since": "0", "known": "7", "dry_run": "true"}
    )

    assert (requested.limit, requested.since, requested.known, requested.dry_run) == (
        200,
        0,
        7,
        True,
    )


@pytest.mark.parametrize(
    "query",
    [
        *({"limit": one} for one in ("0", "201", "01", "1.0", " 1", "+1", "1_0", "-1", "", "٣")),
        *({"since": one} for one in ("9007199254740992", "9" * 30)),
        *({"known": one} for one in ("x", "-1")),
        *({"dry_run": one} for one in ("1", "yes", "TRUE", "")),
        *({"word": one} for one in ("a\0b", "a\nb", "\x7f")),
        {"cursor": "x" * 513},
        {"unknown": "1"},
    ],
    ids=str,
)
def test_malformed_query_value_is_rejected(query):
    with pytest.raises(ValidationError):
        Requested.model_validate(query)
