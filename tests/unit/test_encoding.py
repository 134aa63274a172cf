from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultr.protocol.encoding import b64, lp, unb64, unb64_exactly

PARTS = st.one_of(st.binary(max_size=40), st.text(max_size=20), st.integers(0, 2**64 - 1))


def parts_of(encoded):
    count, rest = int.from_bytes(encoded[:4]), encoded[4:]
    parts = []
    for _ in range(count):
        size = int.from_bytes(rest[:4])
        parts.append(rest[4 : 4 + size])
        rest = rest[4 + size :]
    assert rest == b""
    return parts


def test_encoding_has_part_count_and_length_prefixes():
    encoded = lp("ab", 1, UUID(int=2), b"\x00")

    assert encoded.hex() == (
        "00000004" + "00000002" + "6162" + "00000008" + "0000000000000001"
        "00000010" + "00000000000000000000000000000002" + "00000001" + "00"
    )


@given(st.lists(PARTS, max_size=6))
def test_encoded_parts_decode_to_the_same_parts(parts):
    as_bytes = [
        part if isinstance(part, bytes) else part.encode() if isinstance(part, str) else None
        for part in parts
    ]

    found = parts_of(lp(*parts))

    assert [a if a is not None else b for a, b in zip(as_bytes, found, strict=True)] == found


@given(st.lists(st.binary(max_size=8), max_size=4), st.lists(st.binary(max_size=8), max_size=4))
def test_different_lists_of_parts_have_different_encodings(one, other):
    assert (lp(*one) == lp(*other)) == (one == other)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_integer_over_eight_bytes_is_rejected(number):
    with pytest.raises(ValueError, match="8 bytes"):
        lp(number)


@pytest.mark.parametrize("part", [True, None, 1.0, ["a"]])
def test_length_prefix_rejects_unsupported_types(part):
    with pytest.raises(TypeError):
        lp(part)


@given(st.binary(max_size=200))
def test_base64url_survives_round_trip(data):
    assert unb64(b64(data)) == data


@given(st.text(alphabet="AQgw_-9", max_size=8))
def test_base64_decodes_only_canonical_text(text):
    try:
        data = unb64(text)
    except ValueError:
        return

    assert b64(data) == text


@pytest.mark.parametrize(
    "text", ["A", "AB", "AAB", "AA==", "A A", "AA\n", "AA+A", "AA/A", "ÄAAA", "AA=", None, 7, b"AA"]
)
def test_non_canonical_base64_is_rejected(text):
    with pytest.raises(ValueError, match="base64url"):
        unb64(text)


def test_value_of_wrong_size_is_rejected():
    assert unb64_exactly(b64(bytes(32)), 32) == bytes(32)

    with pytest.raises(ValueError, match="not 32 bytes"):
        unb64_exactly(b64(bytes(31)), 32)
