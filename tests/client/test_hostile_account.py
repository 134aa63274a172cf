"""The SDK with a malicious server that shows false account data during and after login."""

import copy
import functools
import secrets
from uuid import uuid4

import pytest

from tests.harness.client.server_attacks import answering, titles
from tests.harness.client.world import EMAIL, PASSWORD, URL, mail
from vaultr.client.crypto import keys
from vaultr.client.errors import (
    AnswerInvalid,
    ChainBroken,
    IntegrityError,
    PinMismatch,
    RolledBack,
    SealBroken,
    StateMismatch,
)
from vaultr.client.storage.profile import open_profile, seal_profile
from vaultr.protocol.encoding import b64, unb64

LOGIN, ME = ("POST", "/auth/login"), ("GET", "/auth/me")
OTHER_ID = "00000000-0000-4000-8000-000000000000"


def resealed(world, change, *, ahead=0):
    """Return the account's profile with a changed document, sealed as its owner would."""
    held = world.laptop.device.unlocked.account
    stored = world.server.account["profile"]
    profile = open_profile(
        held.wrap_key, held.account_id, stored["revision"], unb64(stored["sealed"])
    )
    document = copy.deepcopy(profile.document)
    change(document)
    other = profile._changed(**document)
    sealed = seal_profile(held.wrap_key, held.account_id, other, stored["revision"] + ahead)
    return {"revision": sealed.revision, "sealed": b64(sealed.sealed)}


def with_key_set(**parts):
    def change(body):
        body["key_set"] |= parts
        return body

    return change


def check_unchanged(world):
    """Check that the device is unchanged: it opens, and its items exist."""
    again = world.device("laptop")
    again.unlock(PASSWORD)
    assert titles(again) == ["Mail"]


@pytest.fixture
def held(world):
    world.laptop.add("login", *mail())
    world.laptop.close()
    world.again().sync()
    return world


@pytest.mark.parametrize("requested", [LOGIN, ME])
def test_account_other_than_the_pinned_one_is_rejected(held, requested):
    answering(held, *requested, lambda body: body | {"account": body["account"] | {"id": OTHER_ID}})

    with pytest.raises(PinMismatch, match=OTHER_ID):
        held.device("laptop").login(EMAIL, PASSWORD) if requested is LOGIN else held.laptop.sync()

    check_unchanged(held)


@pytest.mark.parametrize("requested", [LOGIN, ME])
def test_second_account_key_of_same_epoch_is_rejected(held, requested):
    account = held.laptop.device.unlocked.account
    inputs = account.known.derivation
    root = keys.derive_root(PASSWORD, inputs.salt, inputs.kdf, held.signup.secret_key)
    sealed = keys.seal_account_key(
        keys.kek(root, account.account_id),
        account.account_id,
        1,
        inputs.kdf,
        inputs.salt,
        account.account_key,
    )
    answering(held, *requested, with_key_set(account_key={"epoch": 1, "sealed": b64(sealed)}))

    with pytest.raises(AnswerInvalid, match="but its number has not"):
        held.device("laptop").login(EMAIL, PASSWORD) if requested is LOGIN else held.laptop.sync()

    check_unchanged(held)


def test_account_key_of_lower_epoch_is_rollback_while_open(held):
    before = copy.deepcopy(held.server.account["account_key"])
    held.laptop.change_password(PASSWORD, "another master password", new_key=False)
    answering(held, *ME, with_key_set(account_key=before))

    with pytest.raises(RolledBack, match="older account key"):
        held.laptop.sync()


def test_changed_identity_keys_of_open_account_are_rejected(held):
    other = keys.new_identity(
        held.laptop.device.unlocked.account.wrap_key, held.laptop.device.unlocked.account.account_id
    )
    answering(
        held, *ME, with_key_set(identity={kind: key.to_json() for kind, key in other.items()})
    )

    with pytest.raises(AnswerInvalid, match="identity"):
        held.laptop.sync()


@pytest.mark.parametrize("requested", [LOGIN, ME])
def test_second_profile_of_same_revision_is_a_fork(held, requested):
    other = resealed(held, lambda document: document["settings"].update(colour="red"))
    answering(held, *requested, with_key_set(profile=other))

    with pytest.raises(ChainBroken, match="another content"):
        held.device("laptop").login(EMAIL, PASSWORD) if requested is LOGIN else held.laptop.sync()

    check_unchanged(held)


@pytest.mark.parametrize("requested", [LOGIN, ME])
def test_profile_that_lost_or_rolled_back_vault_is_rollback(held, requested):
    def back(document):
        for noted in document["vaults"].values():
            noted["n"] -= 1

    for change in (lambda document: document["vaults"].clear(), back):
        answering(held, *requested, with_key_set(profile=resealed(held, change, ahead=1)))

        with pytest.raises(RolledBack, match="profile"):
            held.device("laptop").login(
                EMAIL, PASSWORD
            ) if requested is LOGIN else held.laptop.sync()

        held.server.tamper = None
        check_unchanged(held)


@pytest.mark.parametrize(
    "pin",
    [
        {"secret_key": False},
        {"origin": "https://evil.example"},
        {"salt_sha256": b64(bytes(32))},
        {"kdf": {"alg": "argon2id", "m": 65_536, "t": 9, "p": 4}},
    ],
)
def test_profile_with_other_pins_is_rejected(held, pin):
    other = resealed(held, lambda document: document["pins"].update(pin), ahead=1)
    answering(held, *LOGIN, with_key_set(profile=other))

    for changed in (False, True):
        with pytest.raises(PinMismatch):
            held.device("laptop").login(EMAIL, PASSWORD, changed=changed)
    with pytest.raises(PinMismatch):
        held.second()

    held.server.tamper = None
    answering(held, *ME, with_key_set(profile=other))
    with pytest.raises(PinMismatch):
        held.laptop.sync()
    check_unchanged(held)


def test_pinned_account_always_uses_its_secret_key(held):
    derived = []

    def derive(password, salt, kdf, secret_key):
        derived.append(secret_key)
        raise AssertionError("this device has the secret key")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "derive_root", derive)
        with pytest.raises(AssertionError):
            held.device("laptop").login(EMAIL, PASSWORD, has_secret_key=False, changed=True)

    assert derived == [held.signup.secret_key]


@pytest.mark.parametrize("part", ["account_key", "profile", "x25519", "ed25519"])
def test_every_flipped_bit_of_sealed_values_is_detected(held, part, count):
    sealed = held.server.account
    sealed = sealed["identity"][part] if part in sealed["identity"] else sealed[part]
    data, stored = unb64(sealed["sealed"]), sealed["sealed"]
    places = list(range(8 * len(data)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "derive_root", functools.cache(keys.derive_root))
        for place in places[:: count(97, many=1)]:
            spoilt = bytearray(data)
            spoilt[place // 8] ^= 1 << place % 8
            sealed["sealed"] = b64(bytes(spoilt))
            with pytest.raises(SealBroken):
                held.device("new").login(EMAIL, PASSWORD, secret_key=held.signup.secret_key)
        sealed["sealed"] = stored


def test_created_vault_that_is_missing_is_integrity_error(held):
    def tamper(method, path, status, body):
        if (method, path) == ("POST", "/vaults"):
            return 409, {"type": "urn:vaultr:problem:vault-exists", "status": 409}
        if method == "GET" and path.startswith("/vaults/") and path.count("/") == 2:
            return 404, {"type": "urn:vaultr:problem:vault-not-found", "status": 404}
        return status, body

    held.server.tamper = tamper

    with pytest.raises(StateMismatch, match="exists"):
        held.laptop.create_vault("Work")

    check_unchanged(held)


@pytest.mark.parametrize(
    "attack",
    [
        {"secret": "not base32!"},
        {"uri": "https://evil.example/?secret={secret}"},
        {"uri": "otpauth://totp/x?secret=ABCDEFGHIJKLMNOP"},
        {"uri": "otpauth://totp/x\n?secret={secret}"},
    ],
)
def test_malformed_or_contradicting_totp_uri_is_rejected(held, attack):
    secret = "JBSWY3DPEHPK3PXP"
    honest = {"secret": secret, "uri": f"otpauth://totp/Vaultr?secret={secret}"}
    content = honest | {name: text.format(secret=secret) for name, text in attack.items()}
    held.server.tamper = lambda method, path, status, body: (
        (201, content) if path == "/auth/totp" else (status, body)
    )

    with pytest.raises(AnswerInvalid):
        held.laptop.begin_totp()


@pytest.mark.parametrize("codes", [None, [], [7], ["\x1b[2J"], ["aaaa-bbbb", ""], "aaaa-bbbb"])
def test_malformed_recovery_codes_are_rejected(held, codes):
    held.server.tamper = lambda method, path, status, body: (
        (200, {"recovery_codes": codes}) if path == "/auth/totp/confirm" else (status, body)
    )

    with pytest.raises(AnswerInvalid):
        held.laptop.confirm_totp("123456")


@pytest.mark.parametrize("url", [URL, "https://evil.example"])
def test_kit_contradicting_server_parameters_is_rejected(held, url):
    kit = held.laptop.kit()
    salt = {"salt": b64(secrets.token_bytes(32))}
    answering(held, "POST", "/auth/prelogin", lambda body: body | salt)
    before = len(held.server.requests)
    device = held.device("new")
    device.device._url = url

    with pytest.raises(PinMismatch):
        device.login(EMAIL, PASSWORD, kit=kit)

    requested = [path for _, path, _ in held.server.requests[before:]]
    assert requested == (["/auth/prelogin"] if url == URL else [])


def test_malformed_session_list_is_rejected(held):
    entry = {
        "id": str(uuid4()),
        "device_name": "\x1b[2Jphone",
        "client": "vaultr",
        "address": "192.0.2.0/24",
        "created_at": "2026-11-25T10:00:00Z",
        "last_used_at": "2026-11-25T10:00:00Z",
        "current": False,
    }

    def answer(listed):
        held.server.tamper = lambda method, path, status, body: (
            (200, {"sessions": listed, "next_cursor": None})
            if path == "/auth/sessions"
            else (status, body)
        )
        return held.laptop.sessions()

    assert answer([entry])[0].device == "\x1b[2Jphone"
    for odd in ({"id": "x"}, {"current": 1}, {"created_at": "today"}, {"device_name": "x" * 1000}):
        with pytest.raises(IntegrityError):
            answer([entry | odd])
