"""`vaultr add` stays readable: few modules decide what it does."""

import io
import sys

import pytest

from tests.client.devices import Device
from tests.client.fake_server import FakeServer
from tests.client.wsgi_server import Listening
from vaultr.client.cli.main import main

MAX_MODULES = 48
DOCUMENT = b'{"overview": {"title": "Mail"}, "detail": {"password": "hunter2"}}'

# Not counted, as in the house rules: leaf modules, and what lies behind an interface that a reader
# of `add` need not open. Each line names the interface and the modules behind it.
LEAVES = {"errors", "strict_json"}
BEHIND = {
    "crypto.seal": {"crypto.aad", "crypto.keys", "crypto.primitives"},
    "background.agent_client": {"background.memory_protection", "background.socket_peers"},
    "transport.httpx_adapter": {
        *("transport.deadline_transport", "transport.origin", "transport.server_clock"),
    },
    "storage.store": {
        *("storage.private_folder", "storage.device", "storage.key_set", "storage.pins"),
    },
    "storage.cache": {"storage.detail_file"},
}
NOT_COUNTED = LEAVES.union(*BEHIND.values())


@pytest.fixture
def unlocked_device(tmp_path):
    server = Listening(FakeServer().wsgi)
    device = Device(tmp_path / "home", server.url).with_agent()
    try:
        device.done("signup", "--email", device.email)
        device.done("verify", "token0", password=None)
        device.done("login")
        device.done("unlock")
        yield device
        device.done("lock", password=None)
    finally:
        server.close()


def test_add_enters_few_modules(unlocked_device, monkeypatch, capfd):
    for name, value in unlocked_device.environ.items():
        monkeypatch.setenv(name, value)
    assert add(monkeypatch) == 0  # so that no import is counted below

    entered = modules_entered_by(lambda: add(monkeypatch))

    assert "cli.commands.add_edit" in entered
    assert len(entered) <= MAX_MODULES, sorted(entered)


def add(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DOCUMENT)))
    return main(["add", "login", "--json"])


def modules_entered_by(action):
    """Return the modules of vaultr.client in which a function ran, without those not counted."""
    names = set()

    def profile(frame, event, _argument):
        if event == "call":
            names.add(frame.f_globals.get("__name__", ""))

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        assert action() == 0
    finally:
        sys.setprofile(before)
    prefix = "vaultr.client."
    return {each.removeprefix(prefix) for each in names if each.startswith(prefix)} - NOT_COUNTED
