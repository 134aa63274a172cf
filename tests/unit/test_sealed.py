import base64
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import known_answers
from vaultr.protocol.sealed import OVERHEAD, SUITE, is_padding_step, is_sealed, padded_size


def sealed_of(size):
    return bytes([SUITE]) + secrets.token_bytes(size - 1)


@pytest.mark.parametrize(("size", "step"), known_answers.load("vp1")["padding"])
def test_padded_size_matches_the_test_vectors(size, step):
    assert padded_size(size) == step


@given(st.integers(4, 300_000))
def test_padding_adds_at_most_an_eighth(size):
    step = padded_size(size)

    assert size <= step
    assert step <= max(size + 63, size * 1.125)
    assert padded_size(step) == step
    assert is_padding_step(step)


@given(st.integers(4, 100_000), st.integers(4, 100_000))
def test_padded_size_never_decreases(one, other):
    assert (padded_size(one) <= padded_size(other)) or one > other


@pytest.mark.parametrize("step", [64, 128, 1024, 1088, 65_536])
def test_ciphertext_on_a_padding_step_can_be_sealed(step):
    assert is_sealed(sealed_of(OVERHEAD + step))


@pytest.mark.parametrize("size", [1, 33, 81, 82, 144, 146, 81 + 65, 81 + 1025, 81 + 65_537])
def test_ciphertext_off_padding_steps_is_not_sealed(size):
    assert not is_sealed(sealed_of(size))


@pytest.mark.parametrize("suite", [0, 2, 0x7B, 0xFF])
def test_unknown_suite_is_not_sealed(suite):
    assert not is_sealed(bytes([suite]) + sealed_of(OVERHEAD + 64)[1:])


def test_empty_value_is_not_sealed():
    assert not is_sealed(b"")


@pytest.mark.parametrize(
    "text",
    [
        b'{"title":"Mail","password":"hunter2"}',
        base64.b64encode(bytes(range(60))),
        "Schlüssel und Schlösser".encode(),
    ],
)
def test_text_is_not_sealed_despite_matching_first_byte(text):
    data = (bytes([SUITE]) + text).ljust(OVERHEAD + 64, b" ")

    assert not is_sealed(data)
