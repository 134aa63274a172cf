"""The server's keys: the first one seals, all open, and each has one purpose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultr.security.keyring import CannotOpen, KeyRing
from vaultr.settings.loader import generate_keys
from vaultr.settings.types import Keys


def drawn(key_id):
    return generate_keys(key_id)["MAIL_KEY"]


OLD, NEW = drawn("old"), drawn("new")


def ring(*texts):
    return KeyRing(Keys.parse(",".join(texts)))


def test_first_key_seals_and_all_keys_open():
    before = ring(OLD).seal("letter", b"hello")

    rotated = ring(NEW, OLD)

    assert rotated.current_id == "new"
    assert rotated.open("letter", before) == b"hello"
    assert rotated.open("letter", rotated.seal("letter", b"hello")) == b"hello"
    with pytest.raises(CannotOpen):
        ring(OLD).open("letter", rotated.seal("letter", b"hello"))


def test_find_returns_key_by_id():
    rotated = ring(NEW, OLD)

    assert rotated.find("new") == rotated.current
    assert rotated.find("old") == ring(OLD).current
    assert rotated.find("other") is None


def test_sealed_value_opens_only_for_its_purpose():
    sealed = ring(OLD).seal("letter", b"hello")

    with pytest.raises(CannotOpen):
        ring(OLD).open("factor", sealed)


def test_sealing_twice_returns_different_values():
    assert ring(OLD).seal("letter", b"hello") != ring(OLD).seal("letter", b"hello")


def test_every_changed_byte_is_detected():
    sealed = ring(OLD).seal("letter", b"hello")

    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(CannotOpen):
            ring(OLD, NEW).open("letter", bytes(changed))


@given(st.binary(max_size=80))
def test_random_bytes_do_not_open(data):
    with pytest.raises(CannotOpen):
        ring(OLD).open("letter", data)


def test_derived_keys_differ_by_purpose():
    keys = ring(OLD)

    assert keys.derived("a") == keys.derived("a")
    assert keys.derived("a") != keys.derived("b")
    assert len(keys.derived("a")) == 32


def test_repr_of_keyring_shows_only_key_ids():
    assert repr(ring(NEW, OLD)) == "KeyRing(keys=Keys(new, old))"
