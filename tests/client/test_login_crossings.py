"""A login while another command changes the same device: one of the two is first, and whole."""

import functools
import threading

import pytest

from tests.client.fake_server import FakeServer
from tests.client.lies import titles
from tests.client.world import EMAIL, PASSWORD, URL, mail
from vaultr import Vaultr
from vaultr.client.account.opening import WrongPassword
from vaultr.client.crypto import primitives
from vaultr.client.errors import CredentialsInvalid, Refused, UsageError, VaultrError

NEW = "another master password"
LOGIN_STEPS = range(1, 7)  # before and after each of its three requests


@pytest.fixture(autouse=True)
def remembered(monkeypatch):
    monkeypatch.setattr(primitives, "argon2id", functools.cache(primitives.argon2id))


class Crossing:
    """At the ``at``-th step of the requests, another command begins, and gets half a second.

    It may have ended when the first goes on, or wait for the folder's lock.
    """

    def __init__(self, monkeypatch, server, at, command):
        self.failure = None
        self.began = False
        self._at, self._steps, self._command = at, 0, command
        self._thread = threading.Thread(target=self._run)
        self._first = threading.current_thread()
        handle = server.handle

        def crossed(request):
            self._step()
            answer = handle(request)
            self._step()
            return answer

        monkeypatch.setattr(server, "handle", crossed)

    def _step(self):
        if threading.current_thread() is not self._first:
            return
        self._steps += 1
        if self._steps == self._at:
            self.began = True
            self._thread.start()
            self._thread.join(0.5)

    def _run(self):
        try:
            self._command()
        except VaultrError as error:
            self.failure = error

    def end(self):
        """Wait for the other command, and tell why it failed; None if it did not."""
        assert self.began
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.failure


def check_whole(world, password, secret_key):
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


def begun(world, monkeypatch, at, *, new_key):
    world.laptop.add("login", *mail())
    world.laptop.close()
    other = world.device("laptop")
    other.unlock(PASSWORD)
    shown = []

    def passwd():
        change = other.change_password(PASSWORD, NEW, new_key=new_key, new_secret_key=new_key)
        shown.append(change.secret_key)

    return Crossing(monkeypatch, world.server, at, passwd), shown


@pytest.mark.parametrize("new_key", [False, True])
@pytest.mark.parametrize("at", LOGIN_STEPS)
def test_a_login_is_crossed_by_a_change_of_the_password(world, monkeypatch, at, new_key):
    crossing, shown = begun(world, monkeypatch, at, new_key=new_key)

    world.device("laptop").login(EMAIL, PASSWORD)
    assert crossing.end() is None

    check_whole(world, NEW, shown[0] or world.signup.secret_key)


@pytest.mark.parametrize("new_key", [False, True])
@pytest.mark.parametrize("at", [1, 2, 5, 6, 7, 8])
def test_a_change_of_the_password_is_crossed_by_a_login(world, monkeypatch, at, new_key):
    world.laptop.add("login", *mail())
    world.laptop.close()
    again = world.device("laptop")
    crossing = Crossing(monkeypatch, world.server, at, lambda: again.login(EMAIL, PASSWORD))
    changing = world.device("laptop")
    changing.unlock(PASSWORD)

    change = changing.change_password(PASSWORD, NEW, new_key=new_key, new_secret_key=new_key)
    assert isinstance(crossing.end(), CredentialsInvalid | None)

    check_whole(world, NEW, change.secret_key or world.signup.secret_key)


def test_a_login_while_a_signup_derives_keeps_its_folder(world, monkeypatch):
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


def test_a_signup_that_is_refused_takes_back_none_but_itself(tmp_path, monkeypatch):
    server = FakeServer()
    device, other = (
        Vaultr(URL, home=tmp_path, transport=server.transport(), agent=False) for _ in range(2)
    )
    refused = {"type": "urn:vaultr:problem:kdf-refused", "status": 422}

    def cross(method, path):
        server.before = None
        other.signup("bob@example.org", PASSWORD)
        server.twist = lambda method, path, status, body: (422, refused)

    server.before = cross
    with pytest.raises(Refused):
        device.signup(EMAIL, PASSWORD)

    server.twist = None
    assert device.email == "bob@example.org"
    device.verify("token0")
    device.login("bob@example.org", PASSWORD)
