"""Two devices of one account at the same time: one password opens it, and no item is lost."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.client.interleaved_commands import NEW, THIRD, check_account_intact, unlocked
from tests.harness.client.server_attacks import answering, titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.account.credentials import SecretKeyNeeded
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import (
    CredentialsInvalid,
    PinMismatch,
    PreconditionFailed,
    ServerUnreachable,
    SessionEnded,
    TokenInvalid,
    VaultrError,
)
from vaultr.protocol.encoding import b64

# No lock spans two devices: the second command finishes before the first continues.
WHOLE = 20


def with_phone(world):
    """Create one item on the laptop, and a second device for the owner."""
    world.laptop.add("login", *mail())
    world.laptop.close()
    phone = world.second()
    phone.sync()
    phone.close()


def changing(world, name, new, **args):
    device = unlocked(world, name, PASSWORD)
    return lambda: device.change_password(PASSWORD, new, **{"new_key": False, **args})


def follow(world, name, password, secret_key=None):
    """Log in on a device with --changed, as its error advises."""
    device = world.device(name)
    with pytest.raises(PinMismatch, match="vaultr login --changed"):
        device.login(EMAIL, password)
    device.login(EMAIL, password, changed=True, secret_key=secret_key)
    assert device.notices == []
    device.close()
    return unlocked(world, name, password)


def test_status_shows_session_ended_by_password_change(world):
    phone = world.second()

    world.laptop.change_password(PASSWORD, NEW, new_key=False)

    assert phone.status(offline=True).logged_in
    assert not phone.status().logged_in


@pytest.mark.parametrize("keys", [(False, False), (True, True), (False, True), (True, False)])
@pytest.mark.matrix(2)
def test_one_of_two_password_changes_succeeds(crossed, keys):
    def first(world):
        with_phone(world)
        return changing(world, "laptop", NEW, new_key=keys[0], new_secret_key=keys[0])

    def second(world):
        return changing(world, "phone", THIRD, new_key=keys[1], new_secret_key=keys[1])()

    def check(world, one, other):
        made = [not isinstance(each, VaultrError) for each in (one, other)]
        assert made in ([True, False], [False, True]), (one, other)
        won, lost = (one, other) if made[0] else (other, one)
        # The device that has just proved the password continues with a different session.
        assert isinstance(lost, SessionEnded)
        assert "vaultr login" in lost.advice
        names = ("laptop", "phone") if made[0] else ("phone", "laptop")
        password, wrong = (NEW, THIRD) if made[0] else (THIRD, NEW)
        held = unlocked(world, names[1], PASSWORD)
        assert titles(held) == ["Mail"], "cached items stay readable until the next login"
        assert follow(world, names[1], password, won.secret_key).change_is_pending is False
        for name in names:
            items = ["Mail"] if name == names[0] else ["Mail", "Last"]
            check_account_intact(
                world,
                password,
                wrong=[PASSWORD, wrong],
                secret_key=won.secret_key,
                items=items,
                name=name,
            )
            shutil.rmtree(world.device("fresh").home)

    crossed(first, second, check, seconds=WHOLE)


WRITES = {
    "add": lambda device: device.add("login", *mail("Bank")),
    "vault": lambda device: device.create_vault("Work"),
    "rotate": lambda device: device.rotate(restart=True),
    "sync": lambda device: device.sync(),
    "recovery key": lambda device: device.create_recovery_key(),
}


def write(world, what):
    device = unlocked(world, "phone", PASSWORD)

    def whole():
        made = WRITES[what](device)
        device.close()
        return made

    return whole


def check_written(world, what, changed, written):
    """Check the combined result of a write from the phone and a new key from the laptop."""
    assert not isinstance(changed, VaultrError), repr(changed)
    assert not isinstance(written, VaultrError) or isinstance(written, SessionEnded), repr(written)
    is_made = not isinstance(written, VaultrError)
    laptop = unlocked(world, "laptop", NEW)
    laptop.sync()
    found = titles(laptop)
    assert {"Mail"} <= set(found) <= {"Mail", "Bank"}
    assert what != "add" or not is_made or "Bank" in found, "an acknowledged write exists"
    names = [vault.name for vault in laptop.vaults()]
    assert what != "vault" or not is_made or "Work" in names
    laptop.rotate()
    laptop.close()
    phone = follow(world, "phone", NEW)
    phone.sync()
    assert titles(phone) == found
    phone.add("login", *mail("Phone"))
    if what == "vault" and "Work" not in names:
        phone.create_vault("Work")
    phone.close()
    check_account_intact(world, NEW, wrong=[PASSWORD], items=[*found, "Phone"])


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.matrix(2)
def test_new_account_key_during_write_on_another_device_loses_nothing(crossed, what):
    def first(world):
        with_phone(world)
        return changing(world, "laptop", NEW, new_key=True)

    crossed(
        first,
        lambda world: write(world, what)(),
        lambda world, one, other: check_written(world, what, one, other),
        seconds=WHOLE,
    )


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.matrix(2)
def test_write_during_new_account_key_on_another_device_loses_nothing(crossed, what):
    def first(world):
        with_phone(world)
        return write(world, what)

    crossed(
        first,
        lambda world: changing(world, "laptop", NEW, new_key=True)(),
        lambda world, one, other: check_written(world, what, other, one),
        seconds=WHOLE,
    )


@pytest.mark.parametrize("taken", [False, True])
def test_vault_with_previous_account_key_is_not_created(worlds, taken):
    world = worlds()
    phone = world.second()  # which contains no vault, so that none reveals another key
    world.server.lose = [("POST", "/vaults")] * 4
    if not taken:
        world.server.before = lambda method, path: away(world, method, path)
    with pytest.raises((VaultrError, Away)):
        phone.device.unlocked.vaults.create("Work")
    world.server.lose, world.server.before = [], None
    changing(world, "laptop", NEW, new_key=True)()

    phone = follow(world, "phone", NEW)
    phone.sync()

    names = ["Personal", "Work"] if taken else ["Personal"]
    assert sorted(vault.name for vault in phone.vaults()) == names
    check_account_intact(world, NEW, wrong=[PASSWORD], items=[])


class Away(BaseException):
    """Simulates a client that ends before it has sent what it stored."""


def away(world, method, path):
    if (method, path) == ("POST", "/vaults"):
        raise Away


def recovering(world, name):
    """Return an account with a recovery whose wait is over, and what completes it from a device."""
    token, paper = world.server.recovery["token"], world.paper
    device = world.device(name)
    started = device.start_recovery(EMAIL, token, RecoveryKey.read(paper))
    return lambda: device.complete_recovery(started, THIRD)


def lost(world):
    world.laptop.add("login", *mail())
    world.paper = world.laptop.create_recovery_key().text
    world.laptop.close()
    world.device("new").ask_recovery(EMAIL)
    world.server.recovery["ready_at"] = datetime.now(UTC) - timedelta(seconds=1)


def check_recovered(world, name, changed, recovered):
    made = [not isinstance(each, VaultrError) for each in (changed, recovered)]
    assert made in ([True, False], [False, True]), (changed, recovered)
    if made[1]:
        world.device(name).login(EMAIL, THIRD)
        follow(world, "laptop", THIRD, recovered).close() if name != "laptop" else None
        check_account_intact(world, THIRD, wrong=[PASSWORD, NEW], secret_key=recovered)
        return
    assert isinstance(recovered, PreconditionFailed | TokenInvalid), repr(recovered)
    if name == "new":  # a device without an account: without the secret key it sends nothing
        requested = len(world.sent("POST", "/auth/login"))
        with pytest.raises(SecretKeyNeeded):
            world.device(name).login(EMAIL, NEW)
        assert len(world.sent("POST", "/auth/login")) == requested
        world.device(name).login(EMAIL, NEW, secret_key=world.signup.secret_key)
        assert not world.device(name).change_is_pending
    check_account_intact(world, NEW, wrong=[PASSWORD, THIRD])


@pytest.mark.parametrize("new_key", [False, True])
@pytest.mark.parametrize("name", ["new", "laptop"])
def test_password_change_during_recovery_leaves_consistent_account(crossed, name, new_key):
    def first(world):
        lost(world)
        return recovering(world, name)

    crossed(
        first,
        lambda world: changing(world, "laptop", NEW, new_key=new_key)(),
        lambda world, one, other: check_recovered(world, name, other, one),
        seconds=0.3 if name == "laptop" else WHOLE,
    )


@pytest.mark.parametrize("new_key", [False, True])
def test_recovery_during_password_change_leaves_consistent_account(crossed, new_key):
    def first(world):
        lost(world)
        world.recover = recovering(world, "new")
        return changing(world, "laptop", NEW, new_key=new_key)

    crossed(
        first,
        lambda world: world.recover(),
        lambda world, one, other: check_recovered(world, "new", one, other),
        seconds=WHOLE,
    )


def test_login_after_lost_recovery_response_never_omits_secret_key(worlds):
    world = worlds()
    lost(world)
    world.server.lose = [("POST", "/recover/complete")] * 4
    with pytest.raises(ServerUnreachable):
        recovering(world, "new")()
    requested = len(world.sent("POST", "/auth/login"))
    answering(world, "POST", "/auth/prelogin", lambda body: body | {"salt": b64(bytes(range(32)))})

    with pytest.raises(SecretKeyNeeded):
        world.device("new").login(EMAIL, THIRD)

    assert len(world.sent("POST", "/auth/login")) == requested
    world.server.tamper = None
    world.device("new").login(EMAIL, THIRD)
    assert titles(unlocked(world, "new", THIRD)) == []


def test_email_change_during_login_requires_the_new_address(crossed):
    address = "ann@elsewhere.example"

    def first(world):
        world.laptop.add("login", *mail())
        world.laptop.close()
        device = world.device("laptop")
        return lambda: device.login(EMAIL, PASSWORD)

    def second(world):  # when the second of both emails is confirmed
        world.server.account["email"] = address

    def check(world, one, other):
        assert other is None
        assert one is None or isinstance(one, CredentialsInvalid | PinMismatch)
        held = unlocked(world, "laptop", PASSWORD)
        held.sync()
        assert titles(held) == ["Mail"]
        with pytest.raises(PinMismatch, match="vaultr login --email ADDRESS"):
            world.device("laptop").login(held.email, PASSWORD)
        world.device("laptop").login(address, PASSWORD)
        assert world.device("laptop").email == address

    crossed(first, second, check, seconds=WHOLE)
