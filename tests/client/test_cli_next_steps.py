"""Commands suggest the next step if the state of the account prevents them."""

import json

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.fake_server import FakeServer
from tests.harness.client.mailbox import BARE, mailed
from tests.harness.client.owners import owner, second
from tests.harness.client.wsgi_server import WsgiServer

NEW = "another master password"


def signed_in(folder):
    """Return a device that is logged in to a server which can be stopped: its ``server``."""
    device = Device(folder / "home", "")
    device.server = WsgiServer(FakeServer().wsgi)
    device.environ["VAULTR_URL"] = device.server.url
    device.done("signup", "--email", device.email)
    device.done("verify", "token0", password=None)
    device.done("login")
    device.done("add", "note", "--json", stdin=json.dumps({"overview": {"title": "Kept"}}))
    return device


@pytest.fixture
def leaving(tmp_path):
    device = signed_in(tmp_path)
    yield device
    device.server.close()


@pytest.fixture(scope="module")
def unreachable(tmp_path_factory):
    """Such a device, unlocked, after its server was stopped."""
    person = signed_in(tmp_path_factory.mktemp("away")).with_agent()
    person.done("unlock")
    person.server.close()
    yield person
    person.done("lock", password=None)


def test_wrong_password_suggests_change_on_another_device(site, tmp_path):
    first = owner(site, tmp_path, "elsewhere@example.org")
    other = second(site, tmp_path, first)
    first.done("passwd", "--nobody-knows", also={"--new-password-fd": NEW})

    online = other.fails(1, "unlock", password=NEW)
    offline = other.fails(1, "list", "--offline", password=NEW)

    assert "The master password was changed or recovered elsewhere" in online
    assert "The master password is wrong." in offline
    assert "vaultr login --changed" in online
    assert "vaultr login --changed" in offline


def test_command_after_password_change_elsewhere_suggests_login(site, tmp_path):
    first = owner(site, tmp_path, "changed-there@example.org")
    other = second(site, tmp_path, first)
    first.done("passwd", "--nobody-knows", also={"--new-password-fd": NEW})

    message = other.fails(1, "sync")

    assert "The master password was changed or recovered elsewhere" in message
    assert "vaultr login --changed" in message
    assert "another server" not in message
    assert other.run_json("list", "--offline") == []


def test_logged_out_device_is_reported_once(leaving):
    leaving.done("logout")
    person = leaving.with_agent()
    person.done("unlock")
    try:
        message = person.fails(1, "sync", password=None)
    finally:
        person.done("lock", password=None)

    assert message.count("This device is logged out") == 1
    assert "vaultr login" in message


def test_offline_logout_warns_that_session_continues(leaving):
    person = leaving.with_agent()
    person.done("unlock")
    leaving.server.close()

    message = person.fails(4, "logout", password=None)

    assert "the session is still alive" in message
    assert "vaultr sessions revoke" in message
    assert "locked" in person.fails(3, "list", password=None), "the keys are forgotten"


def test_cancelled_recovery_request_keeps_recovery_key(site, tmp_path):
    first = owner(site, tmp_path, "asked-only@example.org")
    paper = first.run_json("recovery-key", "create")["recovery_key"]
    new = Device(tmp_path / "new", site.url, email=first.email)
    requested = new.done("recover", "--email", first.email, password=None)
    assert f"vaultr recover --email {first.email} TOKEN" in requested

    token = mailed(site, first.email, BARE)[-1]
    assert "If a recovery had started" in new.done("recover", "--cancel", token, password=None)

    new.done("recover", "--email", first.email, password=None)
    token = mailed(site, first.email, BARE, least=2)[-1]
    arguments = ("recover", token, "--email", first.email)
    assert new.run_json(*arguments, also={"--recovery-key-fd": paper})["ready"] is False


def test_account_deletion_names_remaining_device_steps(site, tmp_path):
    first = owner(site, tmp_path, "last@example.org")

    result = first.done("account", "delete", "--confirm", first.email)

    assert "vaultr list --offline" in result
    assert "VAULTR_DIR" in result
    assert str(first.home / "vaultr") in result


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show", "Kept"),
        ("copy", "Kept"),
        ("code", "Kept"),
        ("read", "vaultr://Personal/Kept/notes"),
        ("export", "Kept"),
        ("run", "--env-set", "Kept", "--", "true"),
    ],
    ids=" ".join,
)
@pytest.mark.matrix(3)
def test_reading_without_server_suggests_offline(unreachable, words):
    assert "Use --offline to read" in unreachable.fails(4, *words, password=None)


def test_writing_without_server_does_not_suggest_offline(unreachable):
    assert "--offline" not in unreachable.fails(4, "rm", "Kept", password=None)
    assert len(unreachable.run_json("list", "--offline", password=None)) == 1
