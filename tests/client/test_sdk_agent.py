"""The SDK and the agent, over a real socket."""

import tempfile

import pytest

from tests.harness.client.fake_server import FakeServer
from tests.harness.client.world import EMAIL, PASSWORD, mail
from tests.harness.client.wsgi_server import WsgiServer
from tests.harness.timing import until
from vaultr import Vaultr
from vaultr.client.background.agent_client import AgentClient
from vaultr.client.background.lifetime import Lifetime
from vaultr.client.errors import Locked


@pytest.fixture
def server():
    fake = FakeServer()
    listening = WsgiServer(fake.wsgi)
    fake.url = listening.url
    yield fake
    listening.close()


@pytest.fixture
def home(tmp_path, monkeypatch, server):
    """The folder of a logged-in and locked device."""
    home = tmp_path / "home"
    # A socket's path has at most about 100 bytes, which pytest's own folder may already exceed.
    with tempfile.TemporaryDirectory() as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        with Vaultr(server.url, home=home) as device:
            device.signup(EMAIL, PASSWORD)
            device.verify("token0")
            device.unlock(PASSWORD)
            device.add("login", *mail())
        yield home
        AgentClient(home).end()


def test_only_keep_passes_key_to_agent(home):
    with Vaultr(home=home) as device:
        device.unlock(PASSWORD)
    assert not Vaultr(home=home).unlocked

    with Vaultr(home=home) as device:
        device.unlock(PASSWORD, keep=True)

    with Vaultr(home=home) as again:
        assert again.item("Mail").detail == {"password": "hunter2"}


def test_lock_ends_the_agent(home):
    with Vaultr(home=home) as device:
        device.unlock(PASSWORD, keep=True)

    with Vaultr(home=home) as device:
        device.lock()

    with Vaultr(home=home) as again, pytest.raises(Locked):
        again.items()


def test_logout_ends_agent_and_session(home, server):
    with Vaultr(home=home) as device:
        device.unlock(PASSWORD, keep=True)

    with Vaultr(home=home) as device:
        device.logout()

    assert server.sessions == {}
    assert not Vaultr(home=home).unlocked


def test_agent_off_starts_no_process(home, monkeypatch):
    with Vaultr(home=home) as device:
        device.unlock(PASSWORD, keep=True)
    monkeypatch.setenv("VAULTR_AGENT", "off")
    assert not Vaultr(home=home).unlocked
    AgentClient(home).end()

    with Vaultr(home=home) as device:
        device.unlock(PASSWORD, keep=True)

    assert not AgentClient(home).is_holding_key()


def test_profile_is_written_at_most_once_a_minute(home, server):
    with Vaultr(home=home) as device:
        device.unlock(PASSWORD, keep=True)
    before = server.account["profile"]["revision"]

    for n in range(3):
        with Vaultr(home=home) as device:
            device.add("login", *mail(str(n)))
    meanwhile = server.account["profile"]["revision"]
    with Vaultr(home=home) as device:
        device.lock()

    assert meanwhile == before
    assert server.account["profile"]["revision"] == before + 1


def test_profile_is_written_when_idle_time_ends(home, server):
    with Vaultr(home=home) as device:
        # The item was added before.
        device.unlock(PASSWORD, keep=True, lifetime=Lifetime.idle(4.0))
        before = server.account["profile"]["revision"]
        device.add("login", *mail("Bank"))

    until(lambda: server.account["profile"]["revision"] != before)

    assert server.account["profile"]["revision"] == before + 1


def test_agent_key_of_another_account_is_not_used(home, tmp_path):
    AgentClient(home).start(bytes(32))

    assert not Vaultr(home=home).unlocked
