"""Attackers who write to the device's folder between two commands learn and change nothing."""

import shutil
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest

from tests.harness.client.fake_server import FakeServer
from tests.harness.client.world import PASSWORD, mail
from vaultr import Vaultr
from vaultr.client.cli.offline_options import uses_copy
from vaultr.client.errors import PinMismatch, ServerUnreachable
from vaultr.client.storage.freshness import TooOld

EVIL = "https://evil.example"
NEW = "another master password"


def led_to(laptop, origin):
    """Write another server into device.json, as anyone with the key beside it could."""
    laptop.device.drop()
    store = laptop.device.store
    device = store.device()
    store.keep_device(replace(device, pins=replace(device.pins, origin=origin)))
    return store.folder.path


class Evil(FakeServer):
    """Another server, which stores the requests that it gets."""

    def __init__(self):
        super().__init__()
        self.requested = []

    def handle(self, request):
        self.requested.append(request)
        return super().handle(request)


class Agent:
    """An agent that holds a key."""

    def __init__(self, key):
        self._key = key
        self.ended = False

    def account_key(self):
        return self._key

    def end(self):
        self.ended = True


def test_server_outside_sealed_profile_gets_no_request(world):
    world.laptop.add("login", *mail())
    home = led_to(world.laptop, EVIL)
    evil = Evil()

    again = Vaultr(home=home, transport=evil.transport(), agent=False)
    with pytest.raises(PinMismatch, match="othing was sent to https://evil"):
        again.unlock(PASSWORD)

    assert evil.requested == []


def test_no_request_is_sent_during_pending_password_change(world):
    lost = []

    def tamper(method, path, status, body):
        lost.extend([path] if path == "/auth/credentials" else [])
        if lost:
            raise httpx2.ReadError("lost")
        return status, body

    world.server.tamper = tamper
    with pytest.raises(ServerUnreachable):
        world.laptop.change_password(PASSWORD, NEW, new_key=False)
    home = led_to(world.laptop, EVIL)
    evil = Evil()

    again = Vaultr(home=home, transport=evil.transport(), agent=False)
    with pytest.raises(PinMismatch, match="othing was sent to https://evil"):
        again.unlock(NEW)

    assert evil.requested == []


def test_device_with_forged_server_can_be_locked(world):
    key = world.laptop.device.unlocked.account.account_key
    home = led_to(world.laptop, EVIL)
    again = Vaultr(home=home, transport=Evil().transport(), agent=False)
    again.device.agent = Agent(key)

    with pytest.raises(PinMismatch):
        again.lock()

    assert again.device.agent.ended


@pytest.fixture
def restored_cache(world):
    """A device whose vault was replaced by its state before an edit."""
    world.laptop.add("login", *mail("Mail", "first"))
    world.laptop.close()
    folder = world.laptop.device.store.folder.path / "vaults"
    shutil.copytree(folder, folder.with_name("older"))
    laptop = world.again()
    laptop.edit("Mail", detail={"password": "second"})
    laptop.close()
    shutil.rmtree(folder)
    shutil.move(folder.with_name("older"), folder)
    return world.again()


def test_restored_cache_is_not_shown_as_fresh(restored_cache):
    assert restored_cache.age is None
    assert restored_cache.item("Mail", offline=True).detail["password"] == "first"

    (notice,) = restored_cache.notices
    assert "somebody may have replaced the copy by an older one" in notice


def test_restored_cache_is_too_old_for_any_max_age(restored_cache):
    long = timedelta(days=7)

    assert uses_copy(restored_cache, offline=False, max_age=long) is False
    with pytest.raises(TooOld, match="unknown age"):
        uses_copy(restored_cache, offline=True, max_age=long)


def test_restored_cache_is_updated_from_the_server(restored_cache):
    assert restored_cache.item("Mail").detail["password"] == "second"
    assert restored_cache.age is not None
    assert restored_cache.item("Mail", offline=True).detail["password"] == "second"
    assert restored_cache.notices == []
