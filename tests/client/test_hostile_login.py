"""The SDK with a malicious server at login: one clear error, and the password is not used."""

import copy
import secrets

import pytest

from tests.harness.client.server_attacks import answering, flipped
from tests.harness.client.world import EMAIL, PASSWORD, URL, mail
from vaultr import Vaultr
from vaultr.client.account.credentials import SecretKeyNeeded, SignupWaits
from vaultr.client.crypto import keys, primitives
from vaultr.client.errors import (
    AnswerInvalid,
    PinMismatch,
    RolledBack,
    SealBroken,
    UnsafeParameters,
)
from vaultr.client.storage.pins import Derivation, Pins
from vaultr.client.storage.profile import seal_profile
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import Kdf

KDF = {"alg": "argon2id", "m": 65_536, "t": 3, "p": 4}


@pytest.fixture
def argon2(monkeypatch):
    """How often a password was used."""
    used = []
    derive = primitives.argon2id

    def counted(*inputs, **named):
        used.append(inputs[0])
        return derive(*inputs, **named)

    monkeypatch.setattr(primitives, "argon2id", counted)
    return used


@pytest.mark.parametrize(
    "attack",
    [
        {"kdf": KDF | {"m": 65_535}},
        {"kdf": KDF | {"m": 1_048_577}},
        {"kdf": KDF | {"t": 2}},
        {"kdf": KDF | {"p": 0}},
        {"kdf": KDF | {"alg": "argon2i"}},
        {"kdf": KDF | {"m": True}},
        {"kdf": None},
        {"salt": b64(bytes(31))},
        {"salt": b64(bytes(32))},
        {"salt": "="},
        {"auth_scheme": "plain"},
        {"account_id": "x"},
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_kdf_inputs_out_of_bounds_are_rejected_before_hashing(world, argon2, attack, known):
    answering(world, "POST", "/auth/prelogin", lambda body: body | attack)
    device = world.device("laptop" if known else "phone")
    argon2.clear()

    with pytest.raises((UnsafeParameters, AnswerInvalid)) as stopped:
        device.login(EMAIL, PASSWORD, secret_key=world.signup.secret_key)

    assert stopped.value.exit_code == 5
    assert argon2 == []


@pytest.mark.parametrize(
    "attack",
    [
        {"kdf": KDF | {"m": 131_072}},
        {"salt": b64(secrets.token_bytes(32))},
        {"account_id": "00000000-0000-4000-8000-000000000000"},
    ],
)
def test_kdf_inputs_other_than_pinned_are_rejected_before_hashing(world, argon2, attack):
    answering(world, "POST", "/auth/prelogin", lambda body: body | attack)
    argon2.clear()

    with pytest.raises(PinMismatch):
        world.device("laptop").login(EMAIL, PASSWORD)

    assert argon2 == []


def test_signup_pins_kdf_inputs_before_first_login(tmp_path, world, argon2):
    server = type(world.server)()
    device = Vaultr(URL, home=tmp_path / "new", transport=server.transport(), agent=False)
    device.signup(EMAIL, PASSWORD)
    argon2.clear()

    with pytest.raises(SignupWaits, match="vaultr verify") as stopped:
        device.login(EMAIL, PASSWORD)

    assert argon2 == []
    assert stopped.value.exit_code == PinMismatch.exit_code
    assert "do not type your password" in stopped.value.advice


@pytest.mark.parametrize("known", [True, False])
def test_only_local_pending_signup_explains_another_account(world, argon2, tmp_path, known):
    """A device with pins, or with its own signup under this id, gets the ordinary warning."""
    device = world.device("laptop")
    attack = {"account_id": "00000000-0000-4000-8000-000000000000"}
    if not known:
        server = type(world.server)()
        world.server = server
        device = Vaultr(URL, home=tmp_path / "new", transport=server.transport(), agent=False)
        made = device.signup(EMAIL, PASSWORD)
        attack = {"account_id": str(made.account_id), "salt": b64(secrets.token_bytes(32))}
    answering(world, "POST", "/auth/prelogin", lambda body: body | attack)
    argon2.clear()

    with pytest.raises(PinMismatch) as stopped:
        device.login(EMAIL, PASSWORD)

    assert type(stopped.value) is PinMismatch
    assert stopped.value.advice.startswith("Nothing was changed on this device. If you did not")
    assert argon2 == []


def with_new_password(world, password, *, in_profile=True):
    """Change the master password on another device of the owner."""
    held = world.laptop.device.unlocked.account
    salt, kdf = secrets.token_bytes(32), Kdf("argon2id", 65_536, 4, 2)
    root = keys.derive_root(password, salt, kdf, world.signup.secret_key)
    sealed = keys.seal_account_key(
        keys.kek(root, held.account_id), held.account_id, 2, kdf, salt, held.account_key
    )
    derivation = Derivation(held.account_id, kdf, salt)
    profile = held.profile
    if in_profile:
        profile = profile.with_pins(Pins.of(derivation, origin=URL, secret_key=True))
    profile = seal_profile(held.wrap_key, held.account_id, profile, held.profile.revision + 1)
    world.server.account |= {
        "auth_key": b64(keys.auth_key(root, held.account_id)),
        "kdf": kdf.to_json(),
        "salt": b64(salt),
        "account_key": {"epoch": 2, "sealed": b64(sealed)},
        "profile": {"revision": profile.revision, "sealed": b64(profile.sealed)},
    }
    world.server.sessions.clear()


NEW_PASSWORD = "another master password"


def test_password_changed_elsewhere_needs_owner_consent(world):
    world.laptop.add("login", *mail())
    with_new_password(world, NEW_PASSWORD)

    with pytest.raises(PinMismatch):
        world.laptop.login(EMAIL, NEW_PASSWORD)
    world.laptop.login(EMAIL, NEW_PASSWORD, changed=True)

    assert [item.title for item in world.laptop.items()] == ["Mail"]
    world.device("laptop").login(EMAIL, NEW_PASSWORD)
    world.device("laptop").unlock(NEW_PASSWORD)


def test_kdf_inputs_unconfirmed_by_profile_are_rejected(world):
    with_new_password(world, NEW_PASSWORD, in_profile=False)

    with pytest.raises(PinMismatch, match="profile"):
        world.device("laptop").login(EMAIL, NEW_PASSWORD, changed=True)

    world.device("laptop").unlock(PASSWORD)


def test_older_account_key_is_a_rollback(world):
    before = copy.deepcopy(world.server.account)
    with_new_password(world, NEW_PASSWORD)
    world.laptop.login(EMAIL, NEW_PASSWORD, changed=True)
    world.server.account = before

    with pytest.raises(RolledBack):
        world.laptop.login(EMAIL, PASSWORD, changed=True)


def test_login_changed_never_accepts_another_account(world):
    other = {"account_id": "00000000-0000-4000-8000-000000000000"}
    answering(world, "POST", "/auth/prelogin", lambda body: body | other)

    with pytest.raises(PinMismatch):
        world.device("laptop").login(EMAIL, PASSWORD, changed=True)


def test_other_origin_receives_no_request(world, tmp_path):
    before = len(world.server.requests)
    elsewhere = Vaultr(
        "https://evil.example",
        home=tmp_path / "laptop",
        transport=world.server.transport(),
        agent=False,
    )

    with pytest.raises(PinMismatch):
        elsewhere.login(EMAIL, PASSWORD)
    with pytest.raises(PinMismatch):
        elsewhere.unlock(PASSWORD)

    assert len(world.server.requests) == before


def test_new_device_detects_relay_through_another_origin(world, tmp_path):
    relayed = Vaultr(
        "https://evil.example",
        home=tmp_path / "phone",
        transport=world.server.transport(),
        agent=False,
    )

    with pytest.raises(PinMismatch):
        relayed.login(EMAIL, PASSWORD, secret_key=world.signup.secret_key)

    with pytest.raises(SecretKeyNeeded):
        relayed.login(EMAIL, PASSWORD)


@pytest.mark.parametrize("part", ["account_key", "profile"])
def test_altered_key_set_does_not_open(world, part):
    def change(body):
        sealed = body["key_set"][part]
        sealed["sealed"] = flipped(sealed["sealed"])
        return body

    answering(world, "POST", "/auth/login", change)

    with pytest.raises(SealBroken):
        world.second()


def test_exchanged_public_identity_key_is_detected(world):
    def change(body):
        body["key_set"]["identity"]["x25519"]["public"] = b64(secrets.token_bytes(32))
        return body

    answering(world, "POST", "/auth/login", change)

    with pytest.raises(SealBroken):
        world.second()
