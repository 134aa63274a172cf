"""Changing the master password: the requests sent, and which device opens with what afterwards."""

import json

import pytest

from tests.harness.client.fake_vaults import ServiceError
from tests.harness.client.server_attacks import titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.account.password_policy import WeakPassword
from vaultr.client.crypto import keys
from vaultr.client.errors import (
    CredentialsInvalid,
    Locked,
    PinMismatch,
    RateLimited,
    SecondFactorRequired,
    SessionEnded,
    UsageError,
)
from vaultr.protocol.encoding import unb64

NEW = "another master password"
MACHINE = "0a0a0a0a-0000-4000-8000-000000000001"


def changed(world, **args):
    """Change the password on the laptop, which has one item; return the result."""
    world.laptop.add("login", *mail())
    return world.laptop.change_password(PASSWORD, NEW, **{"new_key": False, **args})


def with_machine(world):
    """Add a machine to the account; return its key, and how to open it with an account key."""
    held = world.laptop.device.unlocked.account
    kek = b"m" * 32
    machine_id = keys.UUID(MACHINE)
    sealed = keys.seal_machine_kek(held.wrap_key, held.account_id, machine_id, kek)
    world.server.machines[MACHINE] = keys.b64(sealed)

    def opened(account_key):
        now = unb64(world.server.machines[MACHINE])
        return keys.open_machine_kek(keys.wrap_key(account_key), held.account_id, machine_id, now)

    return kek, opened


@pytest.mark.parametrize("new_key", [False, True])
def test_new_password_opens_and_old_one_does_not(world, new_key):
    changed(world, new_key=new_key)

    again = world.device("laptop")
    again.unlock(NEW)
    assert titles(again) == ["Mail"]
    assert again.item("Mail").detail == {"password": "hunter2"}
    with pytest.raises(WrongPassword):
        world.device("laptop").unlock(PASSWORD)
    with pytest.raises(CredentialsInvalid):
        world.device("laptop").login(EMAIL, PASSWORD)
    world.device("laptop").login(EMAIL, NEW)


@pytest.mark.parametrize("new_key", [False, True])
def test_changing_device_continues_without_login(world, new_key):
    changed(world, new_key=new_key)
    logins = len(world.sent("POST", "/auth/login"))

    world.laptop.add("login", *mail("Bank"))
    world.laptop.close()
    with world.device("laptop") as again:
        again.unlock(NEW)
        again.sync()
        assert titles(again) == ["Bank", "Mail"]

    assert len(world.sent("POST", "/auth/login")) == logins


def test_password_change_without_new_key_keeps_account_key(world):
    before = world.laptop.device.unlocked.account.account_key

    changed(world)

    assert world.laptop.device.unlocked.account.account_key == before
    (body,) = world.sent("PUT", "/auth/credentials")
    assert set(json.loads(body)) == {"auth_key", "kdf", "salt", "account_key", "profile"}
    assert PASSWORD.encode() not in body
    assert NEW.encode() not in body


def test_new_account_key_rewraps_all_and_records_due_rotations(world):
    kek, opened = with_machine(world)
    before = world.laptop.device.unlocked.account.account_key
    world.laptop.create_vault("Work")

    changed(world, new_key=True)

    held = world.laptop.device.unlocked.account
    assert held.account_key != before
    (body,) = world.sent("PUT", "/auth/credentials")
    rewrap = json.loads(body)["rewrap"]
    assert {each["vault_id"] for each in rewrap["vaults"]} == set(world.server.vaults)
    assert opened(held.account_key) == kek
    for vault_id in held.profile.vaults:
        assert held.profile.keys_due(vault_id, 1)


def test_other_device_continues_after_login_changed(world):
    world.laptop.add("login", *mail())
    phone = world.second()
    phone.sync()
    phone.close()
    world.laptop.change_password(PASSWORD, NEW, new_key=True)
    phone = world.device("phone")
    phone.unlock(PASSWORD)

    with pytest.raises(SessionEnded):
        phone.sync()
    assert titles(phone) == ["Mail"], "cached items stay readable with the old password"
    with pytest.raises(PinMismatch):
        phone.login(EMAIL, NEW)
    phone.login(EMAIL, NEW, changed=True)

    again = world.device("phone")
    again.unlock(NEW)
    assert titles(again) == ["Mail"], "even before a sync"
    again.add("login", *mail("Bank"))
    world.laptop.sync()
    assert titles(world.laptop) == ["Bank", "Mail"]


def test_old_wraps_are_fetched_once_and_reused(world):
    changed(world, new_key=True)
    world.laptop.change_password(NEW, PASSWORD, new_key=True)
    world.laptop.change_password(PASSWORD, NEW, new_key=False)
    world.laptop.close()

    again = world.device("laptop")
    again.unlock(NEW)
    again.sync()

    assert titles(again) == ["Mail"]
    again.edit("Mail", detail={"password": "newer"})
    assert again.item("Mail").detail == {"password": "newer"}


def test_new_secret_key_is_required_on_other_devices(world):
    phone = world.second()
    made = changed(world, new_key=True, new_secret_key=True)

    assert made.secret_key != world.signup.secret_key
    with pytest.raises(CredentialsInvalid):
        phone.login(EMAIL, NEW, changed=True)
    phone.login(EMAIL, NEW, changed=True, secret_key=made.secret_key)
    world.device("phone").unlock(NEW)
    world.device("laptop").unlock(NEW)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("not the master password", NEW, WrongPassword),
        (PASSWORD, "short", WeakPassword),
        (PASSWORD, PASSWORD, UsageError),
    ],
)
def test_invalid_password_change_is_rejected_before_sending(world, old, new, error):
    before = len(world.server.requests)

    with pytest.raises(error):
        world.laptop.change_password(old, new, new_key=False)

    assert len(world.server.requests) == before


@pytest.mark.parametrize("new_key", [False, True])
def test_concurrent_command_continues_or_requires_unlock(world, new_key):
    other = world.device("laptop")
    other.device.unlocked = world.kept.on(other)

    changed(world, new_key=new_key)

    if new_key:
        with pytest.raises(Locked, match="unlock this device again"):
            other.sync()
    else:
        other.sync()
        assert titles(other) == ["Mail"]


def test_passwd_prompts_for_second_factor(world):
    world.server.totp = "123456"

    with pytest.raises(SecondFactorRequired):
        changed(world)
    world.laptop.change_password(PASSWORD, NEW, new_key=False, totp="123456")

    world.device("laptop").unlock(NEW)


def test_concurrent_writes_of_another_device_are_included(world):
    """Profile and list of vaults change during the change, which is then tried again."""
    phone = world.second()
    written = []

    def write_first(method, path):
        if (method, path) == ("PUT", "/auth/credentials") and len(written) < 2:
            written.append(path)
            phone.create_vault(f"Made meanwhile {len(written)}")

    world.server.before = write_first
    changed(world, new_key=True)
    world.server.before = None

    world.laptop.sync()
    names = {vault.name for vault in world.laptop.vaults()}
    assert names == {"Personal", "Made meanwhile 1", "Made meanwhile 2"}
    assert len(world.sent("PUT", "/auth/credentials")) == 3


@pytest.mark.parametrize("new_key", [False, True])
def test_request_is_repeated_after_lost_response(world, new_key):
    world.laptop.add("login", *mail())
    world.server.lose = [("PUT", "/auth/credentials"), ("GET", "/auth/me"), ("POST", "/refresh")]

    world.laptop.change_password(PASSWORD, NEW, new_key=new_key)

    assert len(world.sent("PUT", "/auth/credentials")) >= 2
    world.device("laptop").unlock(NEW)
    assert world.server.lose == []


def test_rejected_change_leaves_old_password_and_nothing_pending(world, monkeypatch):
    def reject(*_, **__):
        raise ServiceError("rate-limited")

    world.laptop.add("login", *mail())
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(world.server, "_replace", reject)
    with pytest.raises(RateLimited):
        world.laptop.change_password(PASSWORD, NEW, new_key=True)

    again = world.device("laptop")
    again.unlock(PASSWORD)
    again.sync()
    assert again.notices == []
    with pytest.raises(WrongPassword):
        world.device("laptop").unlock(NEW)
