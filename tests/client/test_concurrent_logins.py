"""A login while another command changes the same device: one runs first, completely."""

import pytest

from tests.harness.client.fake_server import FakeServer
from tests.harness.client.interleaved_commands import NEW, InterleavedCommand
from tests.harness.client.server_attacks import titles
from tests.harness.client.world import EMAIL, PASSWORD, URL, mail
from vaultr import Vaultr
from vaultr.client.account.credentials import WrongPassword
from vaultr.client.crypto import primitives
from vaultr.client.errors import CredentialsInvalid, Refused, UsageError

LOGIN_STEPS = range(1, 7)  # before and after each of the three requests


def check_consistent(world, password, secret_key):
    """Check that only ``password`` opens the device and the account, here and from elsewhere."""
    device = world.device("laptop")
    other = PASSWORD if password == NEW else NEW
    with pytest.raises(WrongPassword):
        device.unlock(other)
    with pytest.raises(CredentialsInvalid):
        world.device("laptop").login(EMAIL, other)
    device.login(EMAIL, password)
    assert titles(device) == ["Mail"]
    device.edit("Mail", detail={"password": "newer"})
    phone = world.device("phone")
    phone.login(EMAIL, password, secret_key=secret_key)
    assert phone.item("Mail").detail == {"password": "newer"}


@pytest.mark.parametrize("new_key", [False, True])
@pytest.mark.parametrize("at", LOGIN_STEPS)
def test_password_change_during_login_leaves_consistent_account(worlds, at, new_key):
    world, shown = worlds(), []
    world.laptop.add("login", *mail())
    world.laptop.close()
    other = world.device("laptop")
    other.unlock(PASSWORD)

    def passwd():
        change = other.change_password(PASSWORD, NEW, new_key=new_key, new_secret_key=new_key)
        shown.append(change.secret_key)

    crossing = InterleavedCommand(world.server, at, passwd)
    device = world.device("laptop")
    crossing.count()

    device.login(EMAIL, PASSWORD)
    assert crossing.end() is None

    check_consistent(world, NEW, shown[0] or world.signup.secret_key)


@pytest.mark.parametrize("new_key", [False, True])
@pytest.mark.parametrize("at", [1, 2, 5, 6, 7, 8])
def test_login_during_password_change_leaves_consistent_account(worlds, at, new_key):
    world = worlds()
    world.laptop.add("login", *mail())
    world.laptop.close()
    again = world.device("laptop")
    crossing = InterleavedCommand(world.server, at, lambda: again.login(EMAIL, PASSWORD))
    changing = world.device("laptop")
    changing.unlock(PASSWORD)
    crossing.count()

    change = changing.change_password(PASSWORD, NEW, new_key=new_key, new_secret_key=new_key)
    assert isinstance(crossing.end(), CredentialsInvalid | None)

    check_consistent(world, NEW, change.secret_key or world.signup.secret_key)


def test_login_during_signup_keeps_its_folder(worlds, monkeypatch):
    world = worlds()
    device, other = world.device("fresh"), world.device("fresh")
    derive, logins = primitives.argon2id, []

    def crossed(*arguments):
        if not logins:
            logins.append(1)
            other.login(EMAIL, PASSWORD, secret_key=world.signup.secret_key)
        return derive(*arguments)

    monkeypatch.setattr(primitives, "argon2id", crossed)
    with pytest.raises(UsageError, match="belongs to account"):
        device.signup("bob@example.org", PASSWORD)

    assert world.device("fresh").email == EMAIL
    world.device("fresh").unlock(PASSWORD)
    assert len(world.sent("POST", "/auth/signup")) == 1


def test_rejected_signup_removes_only_its_own_state(tmp_path, derived_at_once):
    server = FakeServer()
    device, other = (
        Vaultr(URL, home=tmp_path, transport=server.transport(), agent=False) for _ in range(2)
    )
    rejected = {"type": "urn:vaultr:problem:kdf-refused", "status": 422}

    def cross(method, path):
        server.before = None
        other.signup("bob@example.org", PASSWORD)
        server.tamper = lambda method, path, status, body: (422, rejected)

    server.before = cross
    with pytest.raises(Refused):
        device.signup(EMAIL, PASSWORD)

    server.tamper = None
    assert device.email == "bob@example.org"
    device.verify("token0")
    device.login("bob@example.org", PASSWORD)
