"""The SDK with an honest server in memory: signup, login, sessions, and the folder's content."""

import json
import stat

import pytest

from tests.harness.client.fake_server import FakeServer
from tests.harness.client.world import EMAIL, PASSWORD, URL, mail
from vaultr import Vaultr
from vaultr.client.account.password_policy import WeakPassword
from vaultr.client.errors import (
    AnswerInvalid,
    CredentialsInvalid,
    Locked,
    Refused,
    SessionEnded,
    UsageError,
)
from vaultr.client.vaultr_client import NotSignedIn, SecretKeyNeeded, WrongPassword


def test_signup_shows_secret_key_and_sends_no_secret(world):
    body = world.sent("POST", "/auth/signup")[0]

    assert len(world.signup.code) == 8
    assert len(world.signup.secret_key) == 32
    assert PASSWORD.encode() not in body
    assert set(json.loads(body)) == {
        *("account_id", "email", "auth_scheme", "auth_key", "kdf", "salt"),
        *("account_key", "identity", "profile"),
    }


def test_weak_master_password_is_rejected_before_any_request(tmp_path):
    server = FakeServer()
    device = Vaultr(URL, home=tmp_path, transport=server.transport(), agent=False)

    with pytest.raises(WeakPassword):
        device.signup(EMAIL, "password")

    assert server.requests == []


def test_first_login_after_signup_needs_no_secret_key(world):
    assert world.laptop.unlocked
    assert [vault.name for vault in world.laptop.vaults()] == ["Personal"]


def test_unlocking_a_device_that_signed_up_logs_in(tmp_path):
    server = FakeServer()
    device = Vaultr(URL, home=tmp_path, transport=server.transport(), agent=False)
    device.signup(EMAIL, PASSWORD)
    device.verify("token0")

    device.unlock(PASSWORD)

    assert device.items() == []


def test_new_device_without_secret_key_sends_nothing(world):
    before = len(world.server.requests)

    with pytest.raises(SecretKeyNeeded):
        world.device("phone").login(EMAIL, PASSWORD)

    assert len(world.server.requests) == before


def test_login_with_wrong_password_is_rejected_by_server(world):
    with pytest.raises(CredentialsInvalid):
        world.device("phone").login(
            EMAIL, "another long password", secret_key=world.signup.secret_key
        )


def test_unlock_with_wrong_password_sends_no_request(world):
    again = world.device("laptop")
    before = len(world.server.requests)

    with pytest.raises(WrongPassword):
        again.unlock("another long password")

    assert len(world.server.requests) == before


def test_device_without_keys_is_locked_or_has_no_account(world):
    with pytest.raises(Locked):
        world.device("laptop").items()
    with pytest.raises(NotSignedIn):
        world.device("phone").items()


def test_folder_with_account_rejects_another_signup(world):
    with pytest.raises(UsageError, match="belongs"):
        world.laptop.signup("bob@example.org", PASSWORD)


def test_cache_is_read_without_server(world):
    world.laptop.add("login", *mail())
    world.laptop.close()
    world.server.before = lambda *_: pytest.fail("the server was asked")

    with world.device("laptop") as again:
        again.unlock(PASSWORD)

        assert [item.title for item in again.items(offline=True)] == ["Mail"]
        assert again.item("Mail", offline=True).detail == {"password": "hunter2"}


def test_client_folder_contains_no_plaintext(world, tmp_path):
    world.laptop.add("login", *mail())
    world.laptop.close()
    access = next(iter(world.server.sessions.values()))["access"]
    files = [file for file in (tmp_path / "laptop").rglob("*") if file.is_file()]

    for secret in ("hunter2", "Mail", "Personal", PASSWORD, access):
        assert not [file for file in files if secret.encode() in file.read_bytes()], secret
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_invalid_access_token_is_renewed_once(world):
    for session in world.server.sessions.values():
        session["access"] = "void"

    assert world.laptop.items() == []
    assert len(world.sent("POST", "/auth/refresh")) == 1


def test_ended_session_requires_login_and_keeps_cache(world):
    world.laptop.add("login", *mail())
    world.server.sessions.clear()

    with pytest.raises(SessionEnded):
        world.laptop.items()

    assert len(world.laptop.items(offline=True)) == 1
    world.laptop.login(EMAIL, PASSWORD)
    assert len(world.laptop.items()) == 1


def test_logout_ends_the_session_and_keeps_pins_and_cache(world):
    world.laptop.add("login", *mail())

    world.laptop.logout()

    assert world.server.sessions == {}
    again = world.device("laptop")
    again.unlock(PASSWORD)
    assert len(again.items(offline=True)) == 1
    with pytest.raises(SessionEnded):
        again.items()


def test_logout_ends_session_without_profile_write(world):
    def reject(method, path, status, body):
        if method == "PUT" and path == "/auth/profile":
            return 200, {"revision": 99}
        return status, body

    world.laptop.add("login", *mail())
    world.server.tamper = reject
    with pytest.raises(AnswerInvalid):
        world.laptop.logout()

    assert world.server.sessions == {}
    assert not world.laptop.unlocked


def test_login_without_secret_key_works_if_account_has_none(tmp_path):
    server = FakeServer()
    first = Vaultr(URL, home=tmp_path / "a", transport=server.transport(), agent=False)
    assert first.signup(EMAIL, PASSWORD, secret_key=False).secret_key is None
    first.verify("token0")

    second = Vaultr(URL, home=tmp_path / "b", transport=server.transport(), agent=False)
    second.login(EMAIL, PASSWORD, has_secret_key=False)

    assert second.items() == []


def test_rejected_signup_leaves_nothing_pending(tmp_path):
    server = FakeServer()
    problem = {"type": "urn:vaultr:problem:kdf-refused", "status": 422}
    server.tamper = lambda method, path, status, body: (422, problem)
    device = Vaultr(URL, home=tmp_path, transport=server.transport(), agent=False)

    with pytest.raises(Refused):
        device.signup(EMAIL, PASSWORD)

    assert device.email is None
    with pytest.raises(SecretKeyNeeded):
        device.login(EMAIL, PASSWORD)
