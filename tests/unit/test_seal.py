import secrets
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import known_answers
from vaultr.client.crypto import aad
from vaultr.client.crypto.seal import open_sealed, pad, seal, seal_padded, unpad
from vaultr.client.errors import SealBroken
from vaultr.protocol.kdf import Kdf
from vaultr.protocol.sealed import OVERHEAD, is_sealed, padded_size

KEY, AAD = bytes(range(32)), b"bound"
SEALS = known_answers.load("vp1")["seals"]
VAULT, ITEM = UUID(bytes=b"V" * 16), UUID(bytes=b"I" * 16)
ACCOUNT = UUID(bytes=bytes(range(16)))


@pytest.mark.parametrize("case", SEALS)
def test_sealing_matches_the_test_vectors(case):
    key, salt, bound, plaintext = (
        bytes.fromhex(case[name]) for name in ("key", "salt", "aad", "plaintext")
    )

    padded = pad(plaintext) if case["padded"] else plaintext
    sealed = seal_padded(key, bound, padded, salt=salt)

    assert sealed.hex() == case["sealed"]


@pytest.mark.parametrize("case", [case for case in SEALS if case["padded"]])
def test_opening_matches_the_test_vectors(case):
    key, bound, sealed = (bytes.fromhex(case[name]) for name in ("key", "aad", "sealed"))

    assert open_sealed(key, bound, sealed).hex() == case["plaintext"]
    assert is_sealed(sealed)


def test_associated_data_matches_the_test_vectors():
    salt = bytes(range(32))

    assert aad.account_key(ACCOUNT, 1, Kdf.RECOMMENDED, salt).hex() == SEALS[0]["aad"]
    assert aad.item(VAULT, ITEM, "detail", "login", 7, 1).hex() == SEALS[2]["aad"]


def test_associated_data_differs_for_every_use():
    salt, public = bytes(range(32)), bytes(32)
    bound = [
        aad.account_key(ACCOUNT, 1, Kdf.RECOMMENDED, salt),
        aad.account_key(ACCOUNT, 2, Kdf.RECOMMENDED, salt),
        aad.account_key(ACCOUNT, 1, Kdf("argon2id", 65_536, 3, 1), salt),
        aad.account_key(ACCOUNT, 1, Kdf.RECOMMENDED, salt[::-1]),
        aad.identity("x25519", ACCOUNT, public),
        aad.identity("ed25519", ACCOUNT, public),
        aad.vault_key(ACCOUNT, VAULT, 1),
        aad.vault_key(ACCOUNT, VAULT, 2),
        aad.vault_key(VAULT, ACCOUNT, 1),
        aad.machine_kek(ACCOUNT, VAULT),
        aad.machine_vault(ACCOUNT, VAULT, 1),
        aad.recovery(ACCOUNT, 1),
        aad.profile(ACCOUNT, 1),
        aad.vault_overview(VAULT, 0, 1),
        aad.vault_overview(VAULT, 1, 0),
        aad.item(VAULT, ITEM, "overview", "login", 1, 1),
        aad.item(VAULT, ITEM, "detail", "login", 1, 1),
        aad.item(VAULT, ITEM, "detail", "note", 1, 1),
        aad.item(VAULT, ITEM, "detail", "login", 2, 1),
        aad.item(VAULT, ITEM, "detail", "login", 1, 2),
        aad.item(ITEM, VAULT, "detail", "login", 1, 1),
    ]

    assert len(set(bound)) == len(bound)


@given(st.binary(max_size=3000))
def test_sealed_value_opens_and_has_padded_length(plaintext):
    sealed = seal(KEY, AAD, plaintext)

    assert open_sealed(KEY, AAD, sealed) == plaintext
    assert len(sealed) == OVERHEAD + padded_size(4 + len(plaintext))
    assert is_sealed(sealed)


def test_sealing_twice_gives_different_values():
    assert len({seal(KEY, AAD, b"same") for _ in range(50)}) == 50


def test_open_rejects_envelope_with_any_flipped_bit():
    sealed = seal(KEY, AAD, b'{"password":"hunter2"}')

    opened = []
    for place in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[place // 8] ^= 1 << place % 8
        try:
            opened.append(open_sealed(KEY, AAD, bytes(flipped)))
        except SealBroken as broken:
            messages = {str(broken)}

    assert opened == []
    assert len(messages) == 1


@pytest.mark.parametrize("size", [0, 1, 33, 81, 144])
def test_open_rejects_truncated_envelope(size):
    sealed = seal(KEY, AAD, b"text")

    with pytest.raises(SealBroken):
        open_sealed(KEY, AAD, sealed[:size])


def test_open_rejects_envelope_with_trailing_bytes():
    with pytest.raises(SealBroken):
        open_sealed(KEY, AAD, seal(KEY, AAD, b"text") + bytes(64))


@pytest.mark.parametrize(
    ("key", "bound"), [(bytes(32), AAD), (KEY, b"elsewhere"), (KEY, b""), (KEY, AAD + b"\x00")]
)
def test_open_rejects_wrong_key_or_associated_data(key, bound):
    with pytest.raises(SealBroken):
        open_sealed(key, bound, seal(KEY, AAD, b"text"))


def test_open_rejects_parts_of_two_envelopes():
    one, other = seal(KEY, AAD, b"one"), seal(KEY, AAD, b"two")

    for cut in (33, 65, 100):
        with pytest.raises(SealBroken):
            open_sealed(KEY, AAD, one[:cut] + other[cut:])


@pytest.mark.parametrize(
    "padded",
    [
        b"\x00\x00\x00\x01a",
        (b"\x00\x00\x00\x01a").ljust(128, b"\x00"),
        (b"\x00\x00\x00\x01a").ljust(63, b"\x00") + b"\x01",
        (b"\x00\x00\x00\x3d").ljust(64, b"a"),
        b"\xff\xff\xff\xff".ljust(64, b"a"),
        b"",
        b"\x00\x00\x00",
    ],
)
def test_open_rejects_wrong_padding(padded):
    sealed = seal_padded(KEY, AAD, padded, salt=secrets.token_bytes(32))

    with pytest.raises(SealBroken):
        open_sealed(KEY, AAD, sealed)


@given(st.binary(max_size=5000))
def test_unpad_reverses_pad(plaintext):
    padded = pad(plaintext)

    assert unpad(padded) == plaintext
    assert len(padded) == padded_size(4 + len(plaintext))


def test_padding_hides_length_of_passwords():
    assert len(seal(KEY, AAD, b"a")) == len(seal(KEY, AAD, b"a" * 60))
