"""The candidates of completion, which contacts no server."""

import httpx2
import pytest

from tests.harness.client.world import PASSWORD, mail
from vaultr.client.cli import completers
from vaultr.client.errors import ServerUnreachable


class Agent:
    """An agent that holds a key."""

    def __init__(self, key):
        self._key = key

    def account_key(self):
        return self._key

    def is_holding_key(self):
        return True


@pytest.fixture
def tabbed(world, monkeypatch):
    """Press Tab on the first device; return the candidates and the number of requests."""
    world.laptop.add("login", *mail())
    world.laptop.close()
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def press():
        device = world.device("laptop")
        device.device.agent = Agent(world.kept.on(device).account.account_key)
        monkeypatch.setattr("vaultr.client.vaultr_client.Vaultr", lambda: device)
        before = len(world.server.requests)
        offered = completers.item_titles(None, None, "")
        return [each.value for each in offered], len(world.server.requests) - before

    return press


def test_titles_are_completed_from_local_cache(tabbed):
    assert tabbed() == (["Mail"], 0)


def test_completion_sends_no_request_about_pending_passwd(world, tabbed):
    lost = []

    def tamper(method, path, status, body):
        lost.extend([path] if path == "/auth/credentials" else [])
        if lost:
            raise httpx2.ReadError("lost")
        return status, body

    laptop = world.again()
    world.server.tamper = tamper
    with pytest.raises(ServerUnreachable):
        laptop.change_password(PASSWORD, "another master password", new_key=False)
    world.server.tamper = None

    assert tabbed() == ([], 0)
