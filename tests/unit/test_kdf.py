import pytest

from vaultr.protocol.kdf import (
    RELEASED,
    Kdf,
    UnsafeKdf,
    canonical,
    check_kdf,
    check_salt,
    kdf_of,
)

GOOD = {"alg": "argon2id", "m": 65_536, "t": 3, "p": 4}


def test_every_released_cost_is_within_the_bounds():
    for kdf in RELEASED:
        check_kdf(kdf)

    assert Kdf.RECOMMENDED in RELEASED


def test_canonical_kdf_has_sorted_keys_without_spaces():
    assert canonical(Kdf.RECOMMENDED) == '{"alg":"argon2id","m":65536,"p":4,"t":3}'


@pytest.mark.parametrize(
    "change",
    [
        {"m": 1_048_576},
        {"t": 16},
        {"p": 1},
        {"p": 16},
    ],
)
def test_kdf_cost_on_a_bound_is_accepted(change):
    assert kdf_of(GOOD | change).to_json() == GOOD | change


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "argon2i"},
        {"alg": "pbkdf2"},
        {"alg": None},
        {"m": 65_535},
        {"m": 1_048_577},
        {"m": 2**40},
        {"m": 65_536.0},
        {"m": "65536"},
        {"t": 2},
        {"t": 17},
        {"p": 0},
        {"p": 17},
        {"p": True},
        {"extra": 1},
    ],
)
def test_kdf_cost_outside_bounds_is_rejected(change):
    with pytest.raises(UnsafeKdf):
        kdf_of(GOOD | change)


@pytest.mark.parametrize("value", [None, [], "argon2id", {}, {"alg": "argon2id"}])
def test_malformed_kdf_cost_is_rejected(value):
    with pytest.raises(UnsafeKdf):
        kdf_of(value)


@pytest.mark.parametrize("salt", [b"", bytes(31), bytes(32), b"\xff" * 32, bytes(range(33))])
def test_salt_of_wrong_size_or_equal_bytes_is_rejected(salt):
    with pytest.raises(UnsafeKdf):
        check_salt(salt)


def test_salt_of_32_bytes_is_accepted():
    check_salt(bytes(range(32)))
