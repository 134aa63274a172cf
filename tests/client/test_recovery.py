"""Recover an account with its recovery key, also with a malicious server."""

import contextlib
import copy
import itertools
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.harness.client.crash_points import CrashAt
from tests.harness.client.fake_accounts import WAIT
from tests.harness.client.server_attacks import answering, flipped, titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr import Vaultr
from vaultr.client.account.password_policy import WeakPassword
from vaultr.client.account.recovery import AnotherRecovery
from vaultr.client.crypto import keys, primitives
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import (
    IntegrityError,
    PinMismatch,
    RolledBack,
    SealBroken,
    ServerUnreachable,
    TokenInvalid,
    UnsafeParameters,
    VaultrError,
)
from vaultr.protocol.encoding import b64, unb64

pytestmark = pytest.mark.usefixtures("cached_derivations")

NEW = "another master password"


@pytest.fixture
def lost(world):
    """An account with a recovery key, and the token from its email; ``world.paper``."""
    world.laptop.add("login", *mail())
    world.paper = world.laptop.create_recovery_key().text
    world.laptop.close()
    world.device("new").ask_recovery(EMAIL)
    return world


def started(world, name="new", *, waited=True):
    if waited and world.server.recovery is not None:
        world.server.recovery["ready_at"] = datetime.now(UTC) - timedelta(seconds=1)
    token = world.server.recovery["token"] if world.server.recovery else "used"
    return world.device(name).start_recovery(EMAIL, token, RecoveryKey.read(world.paper))


def recover(world, name="new", password=NEW):
    """Complete a recovery and log in; return the device and the new secret key."""
    device = world.device(name)
    secret_key = device.complete_recovery(started(world, name), password)
    device.login(EMAIL, password)
    return device, secret_key


def test_recovery_before_the_wait_ends_returns_nothing(lost):
    first = started(lost, waited=False)

    assert first.handed is None
    assert timedelta() < first.ready_at - datetime.now(UTC) <= WAIT
    with pytest.raises(VaultrError, match="cannot be completed before"):
        lost.device("new").complete_recovery(first, NEW)


def test_recovered_account_has_new_password_and_keys(lost):
    before = lost.laptop.device.store.account().key_set

    device, secret_key = recover(lost)

    assert secret_key != lost.signup.secret_key
    assert device.item("Mail").detail == {"password": "hunter2"}
    assert lost.server.account["account_key"]["epoch"] == before.epoch + 1
    assert "recovery_key" not in lost.server.account
    again = lost.device("new")
    again.unlock(NEW)
    assert titles(again) == ["Mail"]
    for vault_id in again.device.unlocked.account.profile.vaults:
        assert again.device.unlocked.account.profile.keys_due(vault_id, 1)


def test_existing_device_logs_in_with_the_new_secret_key(lost):
    _, secret_key = recover(lost)

    laptop = lost.device("laptop")
    with pytest.raises(VaultrError):
        laptop.login(EMAIL, NEW, changed=True)
    laptop.login(EMAIL, NEW, changed=True, secret_key=secret_key)

    again = lost.device("laptop")
    again.unlock(NEW)
    assert titles(again) == ["Mail"]


def test_recovery_works_on_a_device_of_the_account(lost):
    device, _ = recover(lost, "laptop")

    assert titles(device) == ["Mail"]
    device.sync()


def test_account_without_secret_key_gets_one(tmp_path, world):
    server = type(world.server)()
    first = Vaultr(
        "https://vault.example", home=tmp_path / "a", transport=server.transport(), agent=False
    )
    first.signup(EMAIL, PASSWORD, secret_key=False)
    first.verify("token0")
    first.login(EMAIL, PASSWORD)
    world.server, world.paper = server, first.create_recovery_key().text
    world.device("b").ask_recovery(EMAIL)

    device, secret_key = recover(world, "b")

    assert secret_key is not None
    assert device.device.store.device().pins.secret_key


def test_wrong_recovery_key_is_rejected(lost):
    lost.paper = RecoveryKey.new().text

    with pytest.raises(TokenInvalid):
        started(lost)


def test_weak_recovery_password_is_rejected_before_any_request(lost):
    with pytest.raises(WeakPassword):
        lost.device("new").complete_recovery(started(lost), "short")

    assert not lost.sent("POST", "/recover/complete")


def test_lost_response_to_recovery_is_retried(lost):
    lost.server.lose = [("POST", "/recover/complete")]

    device, _ = recover(lost)

    assert [item.title for item in device.items()] == ["Mail"]


def test_completed_recovery_with_lost_responses_allows_login(lost):
    lost.server.lose = [("POST", "/recover/complete")] * 4
    with pytest.raises(ServerUnreachable):
        lost.device("new").complete_recovery(started(lost), NEW)

    device = lost.device("new")
    device.login(EMAIL, NEW)

    assert [item.title for item in device.items()] == ["Mail"]
    assert device.kit().secret_key is not None


def test_second_new_password_does_not_overwrite_possibly_stored_one(lost):
    def away(method, path):
        if path == "/auth/recover/complete":
            raise primitives.NotAuthentic  # simulates a client that ends here

    lost.server.before = away
    with contextlib.suppress(primitives.NotAuthentic):
        lost.device("new").complete_recovery(started(lost), NEW)
    lost.server.before = None

    with pytest.raises(AnotherRecovery):
        lost.device("new").complete_recovery(started(lost), "a third master password")
    device, _ = recover(lost)

    assert [item.title for item in device.items()] == ["Mail"]


def test_kill_during_recovery_loses_no_account_or_key(first_world, tmp_path, count):
    for at in itertools.count(1, count(3, many=1)):
        world = first_world.copied(tmp_path / str(at))
        world.laptop.add("login", *mail())
        world.paper = world.laptop.create_recovery_key().text
        world.laptop.close()
        world.device("new").ask_recovery(EMAIL)
        with CrashAt(world.server, at) as crash:
            recover(world)
        device = world.device("new")
        if world.server.recovery is None:
            device.login(EMAIL, NEW)
        else:
            device, _ = recover(world)
        assert [item.title for item in device.items()] == ["Mail"]
        fresh = world.device("fresh")
        fresh.login(EMAIL, NEW, secret_key=device.kit().secret_key)
        if not crash.crashed:
            break

    assert at > 10


@pytest.mark.parametrize("attack", ["recovery_key", "account", "identity", "profile", "wrap"])
def test_tampered_recovery_response_opens_nothing(lost, attack):
    def change(body):
        if attack == "recovery_key":
            body["recovery_key"]["sealed"] = flipped(body["recovery_key"]["sealed"])
        if attack == "account":
            body["recovery_key"]["epoch"] += 1
        if attack == "identity":
            body["key_set"]["identity"]["x25519"]["public"] = b64(bytes(range(32)))
        if attack == "profile":
            body["key_set"]["profile"]["sealed"] = flipped(body["key_set"]["profile"]["sealed"])
        if attack == "wrap":
            [key] = body["vaults"][0]["keys"]
            key["sealed_key"] = flipped(key["sealed_key"])
        return body

    answering(lost, "POST", "/recover/start", change)

    with pytest.raises(SealBroken):
        lost.device("new").complete_recovery(started(lost), NEW)

    assert not lost.sent("POST", "/recover/complete")
    assert not (lost.device("new").device.store.folder.path / "changing.json").exists()


def test_withheld_vault_is_detected(lost):
    answering(lost, "POST", "/recover/start", lambda body: body | {"vaults": []})

    with pytest.raises(RolledBack, match="withholds vault"):
        lost.device("new").complete_recovery(started(lost), NEW)


def test_profile_older_than_seen_is_rollback(lost):
    older = copy.deepcopy(lost.server.account["profile"])
    with lost.device("laptop") as laptop:
        laptop.unlock(PASSWORD)
        laptop.add("login", *mail("Bank"))
    lost.server.account["profile"] = older

    with pytest.raises(RolledBack):
        lost.device("laptop").complete_recovery(started(lost, "laptop"), NEW)


def test_recovery_detects_relay_through_another_origin(lost, tmp_path):
    relayed = Vaultr(
        "https://evil.example",
        home=tmp_path / "relayed",
        transport=lost.server.transport(),
        agent=False,
    )
    begun = started(lost)

    with pytest.raises(PinMismatch, match="evil"):
        relayed.complete_recovery(begun, NEW)

    assert not lost.sent("POST", "/recover/complete")


@pytest.mark.parametrize(
    ("attack", "error"),
    [
        ({"account_id": str(uuid4())}, PinMismatch),
        ({"salt": b64(bytes(32))}, UnsafeParameters),
        ({"kdf": {"alg": "argon2id", "m": 1, "t": 3, "p": 4}}, UnsafeParameters),
    ],
)
def test_invalid_kdf_inputs_are_rejected_before_using_the_recovery_key(lost, attack, error):
    answering(lost, "POST", "/auth/prelogin", lambda body: body | attack)

    with pytest.raises(error):
        started(lost, "laptop")

    assert not lost.sent("POST", "/recover/start")


@pytest.mark.parametrize("odd", [{"ready_at": "soon"}, {"recovery_key": 1}, {"key_set": None}])
def test_malformed_recovery_responses_are_rejected(lost, odd):
    answering(lost, "POST", "/recover/start", lambda body: body | odd)

    with pytest.raises(IntegrityError):
        started(lost)


def test_machines_keep_their_keys(lost):
    held = lost.device("laptop")
    held.unlock(PASSWORD)
    account = held.device.unlocked.account
    machine, kek = uuid4(), b"k" * 32
    sealed = keys.seal_machine_kek(account.wrap_key, account.account_id, machine, kek)
    lost.server.machines[str(machine)] = b64(sealed)

    device, _ = recover(lost)

    now = unb64(lost.server.machines[str(machine)])
    opened = device.device.unlocked.account
    assert keys.open_machine_kek(opened.wrap_key, opened.account_id, machine, now) == kek
