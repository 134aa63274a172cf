"""A login ends the device's previous session: which one, when, and what continues."""

import copy
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.harness.client.server_attacks import answering, titles
from tests.harness.client.world import EMAIL, PASSWORD, mail
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import RolledBack, SessionEnded
from vaultr.client.transport.http_transport import Transport

pytestmark = pytest.mark.usefixtures("cached_derivations")

NEW = "another master password"


def live(world):
    return {each["id"] for each in world.server.sessions.values()}


def session_end_requests(world):
    requested = world.server.requests
    return [
        path.removeprefix("/auth/sessions/")
        for verb, path, _ in requested
        if (verb, path.rpartition("/")[0]) == ("DELETE", "/auth/sessions")
    ]


def login(world, name="laptop", password=PASSWORD, **args):
    device = world.device(name)
    device.login(EMAIL, password, **args)
    return device


def test_login_ends_only_the_previous_session_of_its_device(world):
    (before,) = live(world)
    phone = world.second()
    (other,) = live(world) - {before}

    login(world)
    login(world)

    assert before not in live(world)
    assert other in live(world)
    assert len(live(world)) == 2
    assert session_end_requests(world)[0] == before
    assert len(session_end_requests(world)) == 2
    assert titles(phone) == []


def test_session_end_request_is_last_and_uses_new_session(world):
    login(world)

    assert world.server.requests[-1][0] == "DELETE"
    assert len(live(world)) == 1


def test_server_time_of_session_end_response_is_ignored(world):
    now = world.server.clock()

    def tamper(method, _path):
        world.server.clock = lambda: now + timedelta(days=400 if method == "DELETE" else 0)

    world.server.before = tamper
    device = login(world)

    assert len(session_end_requests(world)) == 1
    reported = device.device.unlocked.account.session.server_time()
    assert reported == now.replace(microsecond=0)


def test_login_ends_the_refreshed_session(world):
    (before,) = live(world)
    for session in world.server.sessions.values():
        session["access"] = "void"
    world.laptop.sync()

    login(world)

    assert session_end_requests(world) == [before]
    assert before not in live(world)


def test_first_login_and_login_after_logout_end_no_session(world):
    world.second()
    world.laptop.logout()

    login(world)

    assert session_end_requests(world) == []


def test_failed_login_ends_no_session(world):
    before = live(world)
    answering(world, "POST", "/auth/login", lambda body: body | {"key_set": {}})

    with pytest.raises(Exception, match="key_set"):
        login(world)

    world.server.tamper = None
    assert session_end_requests(world) == []
    assert before < live(world)
    assert world.laptop.items() == []


def test_login_at_rolled_back_server_ends_no_session(world):
    older = copy.deepcopy(world.server.account)
    world.laptop.add("login", *mail())
    world.again()
    world.server.account = older

    with pytest.raises(RolledBack):
        login(world)

    assert session_end_requests(world) == []


def test_unstorable_login_ends_no_session(world, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vaultr.client.storage.private_folder.write_new", full)
    with pytest.raises(Exception, match="No space"):
        login(world)

    assert session_end_requests(world) == []


def test_kill_before_ending_old_session_leaves_device_logged_in(world, monkeypatch):
    (before,) = live(world)

    def killed(*_, **__):
        raise SystemExit(137)

    monkeypatch.setattr(Transport, "send_ignoring_response", killed)
    with pytest.raises(SystemExit):
        login(world)

    assert before in live(world)
    again = world.device("laptop")
    again.unlock(PASSWORD)
    world.server.sessions = {
        name: each for name, each in world.server.sessions.items() if each["id"] != before
    }
    assert again.items() == []


def test_other_command_continues_with_new_session(world):
    world.laptop.add("login", *mail())
    (before,) = live(world)

    login(world)
    world.laptop.edit("Mail", detail={"password": "new"})

    assert before not in live(world)
    assert world.laptop.item("Mail").detail == {"password": "new"}
    assert world.sent("POST", "/auth/refresh") == []


@pytest.mark.parametrize("times", [1, 2, 3])
def test_request_is_repeated_across_several_logins(world, times):
    left = iter(range(times))

    def sign_in(method, path):
        if path == "/auth/me" and next(left, None) is not None:
            login(world)

    world.server.requests.clear()
    world.server.before = sign_in
    answer = world.laptop.device.unlocked.account.session.send("GET", "/auth/me")

    assert next(left, None) is None
    assert answer.body["account"]["email"] == EMAIL
    assert len(world.sent("GET", "/auth/me")) == times + 1
    assert world.sent("POST", "/auth/refresh") == []
    assert len(live(world)) == 1


def test_session_ended_by_owner_ends_for_all_commands(world):
    login(world)
    world.server.sessions.clear()

    with pytest.raises(SessionEnded):
        world.laptop.sync()


def signed_in_with(world, access_token):
    """Make the laptop store another access token than the server's."""
    answering(world, "POST", "/auth/login", lambda body: body | {"access_token": access_token})
    login(world)
    world.server.tamper = None
    world.server.requests.clear()


@pytest.mark.parametrize(
    "session_id", ["../logout-all", "", 7, None, "A" * 36, "00000000-0000-4000-8000-00000000000/"]
)
def test_invalid_session_id_is_not_sent(world, session_id):
    signed_in_with(world, world.server.access_token(session_id))

    login(world)

    assert session_end_requests(world) == []


def test_session_of_another_account_is_not_ended(world):
    signed_in_with(world, world.server.access_token(str(uuid4()), account_id=str(uuid4())))

    login(world)

    assert session_end_requests(world) == []


def test_same_session_returned_again_is_not_ended(world):
    same = world.server.access_token(str(uuid4()))
    signed_in_with(world, same)
    answering(world, "POST", "/auth/login", lambda body: body | {"access_token": same})

    login(world)

    assert session_end_requests(world) == []


def test_altered_session_file_is_replaced(world, tmp_path):
    (tmp_path / "laptop" / "session.sealed").write_bytes(b"torn")

    device = login(world)

    assert device.items() == []
    assert session_end_requests(world) == []


@pytest.mark.parametrize("new_key", [False, True])
def test_first_login_after_password_change_ends_no_session(world, new_key):
    phone = world.second()
    phone.sync()
    phone.close()
    world.laptop.change_password(PASSWORD, NEW, new_key=new_key)

    login(world, "phone", NEW, changed=True)

    assert session_end_requests(world) == []
    assert len(live(world)) == 2
    login(world, "phone", NEW)
    assert len(session_end_requests(world)) == 1
    assert len(live(world)) == 2


def test_password_change_with_lost_response_leaves_one_session(world):
    def lose(_method, path):
        if path == "/auth/credentials":
            world.server.lose = [("PUT", path), *[("GET", "/auth/me")] * 20]

    world.server.before = lose
    with pytest.raises(Exception, match="lost"):
        world.laptop.change_password(PASSWORD, NEW, new_key=False)
    world.server.lose, world.server.before = [], None

    login(world, password=NEW)

    assert len(session_end_requests(world)) == 1
    assert len(live(world)) == 1


def test_login_after_recovery_ends_no_session(world):
    paper = world.laptop.create_recovery_key().text
    world.laptop.ask_recovery(EMAIL)
    arguments = (EMAIL, world.server.recovery["token"], RecoveryKey.read(paper))
    world.laptop.start_recovery(*arguments)
    world.server.recovery["ready_at"] = world.server.clock()
    world.laptop.complete_recovery(world.laptop.start_recovery(*arguments), NEW)

    login(world, password=NEW)

    assert session_end_requests(world) == []
    assert len(live(world)) == 1


def test_login_without_known_server_ends_no_session(world, tmp_path):
    (tmp_path / "laptop" / "device.json").unlink()

    login(world, secret_key=world.signup.secret_key)

    assert session_end_requests(world) == []
