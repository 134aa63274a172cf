"""The SDK with a malicious server during a password change, on this and on another device."""

import copy
import secrets

import pytest

from tests.harness.client.server_attacks import answering, flipped, titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.errors import (
    AnswerInvalid,
    Conflict,
    IntegrityError,
    PreconditionFailed,
    RolledBack,
    SealBroken,
    ServerUnreachable,
    StateMismatch,
    VaultNotFound,
)
from vaultr.protocol.encoding import b64

NEW = "another master password"


@pytest.fixture
def held(world):
    world.laptop.add("login", *mail())
    world.laptop.close()
    world.again().sync()
    return world


def changes(world, *, new_key):
    world.device("laptop").change_password(PASSWORD, NEW, new_key=new_key)


def check_old_opens(world):
    """Check that the old password still opens the device, also offline."""
    again = world.device("laptop")
    again.unlock(PASSWORD)
    assert titles(again) == ["Mail"]
    assert again.item("Mail", offline=True).detail == {"password": "hunter2"}


@pytest.mark.parametrize("new_key", [False, True])
def test_dropped_password_change_is_detected(held, monkeypatch, new_key):
    monkeypatch.setattr(held.server, "_replace", lambda body: None)

    with pytest.raises(AnswerInvalid, match="still shows the old one"):
        changes(held, new_key=new_key)

    check_old_opens(held)


@pytest.mark.parametrize("part", ["identity", "profile"])
def test_partial_change_does_not_lose_the_old_wrap(held, part):
    def spoil(body):
        key_set = body["key_set"]
        if key_set["account_key"]["epoch"] == 2:
            place = key_set["identity"]["x25519"] if part == "identity" else key_set["profile"]
            place["sealed"] = flipped(place["sealed"])
        return body

    answering(held, "GET", "/auth/me", spoil)
    with pytest.raises(AnswerInvalid):
        changes(held, new_key=True)

    assert held.device("laptop").device.store.account().key_set.epoch == 1
    held.server.tamper = None
    again = held.device("laptop")
    again.unlock(NEW)
    assert titles(again) == ["Mail"], "a correct response completes the change"


def test_unstored_wraps_are_detected_before_old_ones_are_dropped(held, monkeypatch):
    stored = copy.deepcopy(held.server.vaults)
    taken = held.server._replace

    def keep_old_wraps(body):
        taken(body)
        for vault_id, vault in held.server.vaults.items():
            vault["keys"] = copy.deepcopy(stored[vault_id]["keys"])

    monkeypatch.setattr(held.server, "_replace", keep_old_wraps)
    with pytest.raises(StateMismatch, match="other keys of vault"):
        changes(held, new_key=True)

    assert held.device("laptop").device.store.account().key_set.epoch == 1
    with pytest.raises(StateMismatch, match="other keys of vault"):
        held.device("laptop").unlock(NEW)


@pytest.mark.parametrize("attack", ["hidden", "injected", "other keys", "other vault"])
def test_forged_vault_list_is_not_wrapped_under_new_key(held, attack):
    sent = len(held.sent("PUT", "/auth/credentials"))
    account = held.laptop.device.unlocked.account
    other = VaultKeys.new()

    def change(body):
        (vault,) = body["vaults"]
        if attack == "hidden":
            return body | {"vaults": []}
        if attack == "other keys":
            vault_id = account.profile.vaults.popitem()[0]
            wrapped = other.wrap(account.wrap_key, account.account_id, vault_id, 1)
            vault["keys"] = [{"generation": 1, "sealed_key": b64(wrapped)}]
        if attack == "injected":
            vault["keys"].append({"generation": 2, "sealed_key": vault["keys"][0]["sealed_key"]})
        if attack == "other vault":
            body["vaults"].append(vault | {"id": "00000000-0000-4000-8000-000000000000"})
        return body

    answering(held, "GET", "/vaults", change)
    with pytest.raises((IntegrityError, VaultNotFound)):
        changes(held, new_key=True)

    assert len(held.sent("PUT", "/auth/credentials")) == sent
    held.server.tamper = None
    check_old_opens(held)


@pytest.mark.parametrize("attack", ["a vault", "a generation"])
def test_value_withheld_between_reads_is_detected_before_loss(held, attack):
    """Keys that were not wrapped could never be opened under the new account key."""
    held.laptop.create_vault("Work")
    held.laptop.rotate()
    held.laptop.close()
    looks = []

    def change(body):
        looks.append(body)
        if len(looks) < 2:
            return body
        if attack == "a vault":
            return body | {"vaults": body["vaults"][1:]}
        body["vaults"][0]["keys"] = body["vaults"][0]["keys"][1:]
        return body

    answering(held, "GET", "/vaults", change)
    with pytest.raises(IntegrityError, match=r"missing|withholds"):
        changes(held, new_key=True)

    assert not held.sent("PUT", "/auth/credentials")


def test_following_device_detects_missing_earlier_keys(held):
    held.laptop.rotate()
    held.laptop.close()
    following(held)

    def change(body):
        body["vaults"][0]["keys"] = body["vaults"][0]["keys"][1:]
        return body

    answering(held, "GET", "/vaults", change)
    with pytest.raises(StateMismatch, match="withholds keys"):
        held.device("laptop").login(EMAIL, NEW, changed=True)

    check_old_opens(held)


def test_forged_change_outcome_does_not_drop_the_change(held):
    """It holds the only copy of a new secret key until it is known to be useless."""
    held.server.lose = [("PUT", "/auth/credentials")] * 4
    device = held.device("laptop")
    with pytest.raises(ServerUnreachable):
        device.change_password(PASSWORD, NEW, new_key=False, new_secret_key=True)
    honest = copy.deepcopy(held.server.account)

    def tamper(body):
        body["key_set"]["account_key"] = {"epoch": 9, "sealed": b64(bytes(200))}
        body["key_set"]["profile"]["revision"] += 9
        return body

    answering(held, "GET", "/auth/me", tamper)
    held.device("laptop").unlock(PASSWORD)
    held.server.tamper = None

    assert held.server.account == honest
    again = held.device("laptop")
    again.unlock(NEW)
    again.sync()
    assert again.kit().secret_key != held.signup.secret_key


@pytest.mark.parametrize(
    ("slug", "error"),
    [
        ("precondition-failed", PreconditionFailed),
        ("conflict", Conflict),
    ],
)
def test_permanently_rejected_change_keeps_old_password(held, slug, error):
    status = 412 if slug == "precondition-failed" else 409
    problem = {"type": f"urn:vaultr:problem:{slug}", "status": status}
    original = held.server._answer

    def reject(request, path, query):
        if path == "/auth/credentials":
            return status, problem, None
        return original(request, path, query)

    held.server._answer = reject
    with pytest.raises(error):
        changes(held, new_key=True)
    del held.server._answer

    assert len(held.sent("PUT", "/auth/credentials")) == 5
    check_old_opens(held)
    held.device("laptop").login(EMAIL, PASSWORD)


def following(world):
    """Change password and account key on another device; this one has not logged in again yet."""
    with world.second() as phone:
        phone.sync()
        phone.change_password(PASSWORD, NEW, new_key=True)
        return phone.device.unlocked.account


@pytest.mark.parametrize("attack", ["hidden", "other keys", "older wrap", "flipped"])
def test_following_device_accepts_only_previous_keys(held, attack):
    older = copy.deepcopy(held.server.vaults)
    account = following(held)

    def change(body):
        (vault,) = body["vaults"]
        [wrap] = vault["keys"]
        if attack == "hidden":
            return body | {"vaults": []}
        if attack == "other keys":
            vault_id = account.profile.vaults.popitem()[0]
            other = VaultKeys.new()
            sealed = other.wrap(account.wrap_key, account.account_id, vault_id, 1)
            wrap["sealed_key"] = b64(sealed)
        if attack == "older wrap":
            wrap["sealed_key"] = older[vault["id"]]["keys"][0]["sealed_key"]
        if attack == "flipped":
            wrap["sealed_key"] = flipped(wrap["sealed_key"])
        return body

    answering(held, "GET", "/vaults", change)
    expected = {"hidden": RolledBack, "other keys": StateMismatch}.get(attack, SealBroken)
    with pytest.raises(expected):
        held.device("laptop").login(EMAIL, NEW, changed=True)

    held.server.tamper = None
    check_old_opens(held)
    held.device("laptop").login(EMAIL, NEW, changed=True)


def test_unchanged_parameters_are_rejected_despite_owner_consent(held):
    """The server shows other parameters, and the key derived with them opens nothing here."""
    salt = {"salt": b64(secrets.token_bytes(32))}
    answering(held, "POST", "/auth/prelogin", lambda body: body | salt)
    held.server.account["auth_key"] = None
    original = held.server._answer

    def accept_any_key(request, path, query):
        """Accept any key."""
        if path == "/auth/login":
            return 200, held.server._tokens() | held.server._me(), None
        return original(request, path, query)

    held.server._answer = accept_any_key
    with pytest.raises(SealBroken):
        held.device("laptop").login(EMAIL, PASSWORD, changed=True)
    del held.server._answer

    check_old_opens(held)
