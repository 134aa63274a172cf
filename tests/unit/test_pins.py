from dataclasses import replace
from uuid import UUID

import pytest

from vaultr.client.errors import AnswerInvalid, PinMismatch, UnsafeParameters
from vaultr.client.storage.pins import Derivation, Pins, read_prelogin
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import Kdf

ACCOUNT, OTHER = UUID(int=1), UUID(int=2)
ORIGIN = "https://vault.example"
SALT = bytes(range(32))
DERIVATION = Derivation(ACCOUNT, Kdf.RECOMMENDED, SALT)
PINS = Pins.of(DERIVATION, origin=ORIGIN, secret_key=True)
ANSWER = {
    "account_id": str(ACCOUNT),
    "auth_scheme": "vp1",
    "kdf": Kdf.RECOMMENDED.to_json(),
    "salt": b64(SALT),
}


def test_prelogin_response_has_the_kdf_inputs():
    assert read_prelogin(ANSWER) == DERIVATION


@pytest.mark.parametrize(
    "attack",
    [
        {"auth_scheme": "vp0"},
        {"auth_scheme": "plain"},
        {"kdf": {"alg": "argon2id", "m": 8, "t": 1, "p": 1}},
        {"kdf": {"alg": "argon2id", "m": 2**40, "t": 3, "p": 4}},
        {"kdf": {"alg": "argon2d", "m": 65_536, "t": 3, "p": 4}},
        {"salt": b64(bytes(32))},
        {"salt": b64(bytes(range(16)))},
    ],
)
def test_unsafe_kdf_inputs_are_rejected(attack):
    with pytest.raises(UnsafeParameters):
        read_prelogin(ANSWER | attack)


@pytest.mark.parametrize(
    "attack", [{"account_id": "1"}, {"salt": "!"}, {"kdf": None}, {"auth_scheme": None}]
)
def test_malformed_prelogin_response_is_rejected(attack):
    with pytest.raises(AnswerInvalid):
        read_prelogin(ANSWER | attack)


def test_pinned_value_is_accepted():
    PINS.check(DERIVATION, origin=ORIGIN)


@pytest.mark.parametrize(
    "seen",
    [
        replace(DERIVATION, salt=SALT[::-1]),
        replace(DERIVATION, kdf=Kdf("argon2id", 65_536, 4, 4)),
        replace(DERIVATION, kdf=Kdf("argon2id", 131_072, 3, 4)),
    ],
)
def test_other_salt_or_cost_needs_owner_consent(seen):
    with pytest.raises(PinMismatch, match="password was not used"):
        PINS.check(seen, origin=ORIGIN)

    PINS.check(seen, origin=ORIGIN, changed=True)


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(
    ("seen", "origin"),
    [
        (replace(DERIVATION, account_id=OTHER), ORIGIN),
        (DERIVATION, "https://vault.example.org"),
        (DERIVATION, "http://vault.example"),
    ],
)
def test_other_account_or_origin_is_always_rejected(seen, origin, changed):
    with pytest.raises(PinMismatch, match="password was not used"):
        PINS.check(seen, origin=origin, changed=changed)


def test_owner_with_changed_address_gets_next_step():
    with pytest.raises(PinMismatch, match="vaultr login --email ADDRESS"):
        PINS.check(replace(DERIVATION, account_id=OTHER), origin=ORIGIN)


@pytest.mark.parametrize(
    "change",
    [
        {"account_id": OTHER},
        {"origin": "https://elsewhere.example"},
        {"secret_key": False},
        {"salt_sha256": bytes(32)},
        {"kdf": Kdf("argon2id", 65_536, 4, 4)},
    ],
)
def test_pins_that_differ_from_profile_are_rejected(change):
    PINS.check_same(replace(PINS))

    with pytest.raises(PinMismatch):
        PINS.check_same(replace(PINS, **change))


def test_pins_survive_round_trip_and_contain_no_salt():
    written = PINS.to_json()

    assert Pins.from_json(written | {"some_day": 1}) == PINS
    assert b64(SALT) not in str(written)
    assert b64(SALT) not in repr(DERIVATION)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"secret_key": None}, AnswerInvalid),
        ({"origin": 7}, AnswerInvalid),
        ({"salt_sha256": "AA"}, AnswerInvalid),
        ({"kdf": {"alg": "argon2id", "m": 8, "t": 1, "p": 1}}, UnsafeParameters),
    ],
)
def test_malformed_pins_are_rejected(change, error):
    with pytest.raises(error):
        Pins.from_json(PINS.to_json() | change)
