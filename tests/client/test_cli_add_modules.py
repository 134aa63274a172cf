"""`vaultr add` stays readable: it enters few modules."""

import io
import sys

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.fake_server import FakeServer
from tests.harness.client.wsgi_server import WsgiServer
from tests.harness.entered_modules import entered_modules
from vaultr.client.cli.main import main

MAX_MODULES = 40
DOCUMENT = b'{"overview": {"title": "Mail"}, "detail": {"password": "hunter2"}}'

# Not counted, as in the house rules: leaf modules, and modules behind an interface that a reader of
# `add` need not open. Each line has the interface and the modules behind it.
LEAVES = {"errors", "strict_json", "transport.retry"}  # used by name, readable alone
BEHIND = {
    "crypto.seal": {"crypto.aad", "crypto.keys", "crypto.primitives"},
    "background.agent_client": {"background.memory_protection", "background.socket_peers"},
    "transport.httpx_adapter": {
        "transport.deadline_transport",
        "transport.origin",
    },
    "storage.store": {
        *("storage.private_folder", "storage.device", "storage.key_set", "storage.pins"),
    },
    "storage.cache": {"storage.detail_file"},
}
NOT_COUNTED = LEAVES.union(*BEHIND.values())


@pytest.fixture
def unlocked_device(tmp_path):
    server = WsgiServer(FakeServer().wsgi)
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


def test_add_enters_at_most_the_allowed_modules(unlocked_device, monkeypatch, capfd):
    for name, value in unlocked_device.environ.items():
        monkeypatch.setenv(name, value)
    assert add(monkeypatch) == 0  # so that imports are not counted below

    with entered_modules("vaultr.client") as entered:
        assert add(monkeypatch) == 0

    assert "cli.commands.add_edit" in entered
    counted = entered - NOT_COUNTED
    assert len(counted) <= MAX_MODULES, sorted(counted)


def add(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DOCUMENT)))
    return main(["add", "login", "--json"])
