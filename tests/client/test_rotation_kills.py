"""Rotations on a real server, while the client or the server is killed at random moments."""

import contextlib
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.harness.client.devices import PASSWORD
from tests.harness.client.killable_server import KillableServer
from tests.harness.client.owners import owner, second
from tests.harness.client.world import StoredKey
from vaultr import Vaultr
from vaultr.client.items.schemas import Draft
from vaultr.protocol.encoding import b64

ITEMS = 60
LONG = pytest.mark.long
ROTATING = """
import sys
from pathlib import Path
from tests.harness.client.world import StoredKey
from vaultr import Vaultr
from vaultr.client.errors import IntegrityError, VaultrError
from vaultr.protocol.encoding import unb64

device = Vaultr(home=Path(sys.argv[1]), agent=False)
device.device.unlocked = StoredKey(unb64(sys.stdin.readline().strip())).on(device)
print("ready", flush=True)
sys.stdin.readline()
try:
    device.rotate(restart=sys.argv[2] == "anew")
except IntegrityError:
    raise
except VaultrError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


class Owner:
    """An owner with two devices and some items, on a server that can be killed."""

    def __init__(self, site, folder):
        self.site = site
        first = owner(site, folder, "ann@example.org")
        phone = second(site, folder, first)
        self.homes = [each.home / "vaultr" for each in (first, phone)]
        with Vaultr(home=self.homes[0], agent=False) as device:
            device.unlock(PASSWORD)
            self.key = device.device.unlocked.account.account_key
            drafts = [Draft("login", {"title": f"Item {n}"}, secret(n)) for n in range(ITEMS)]
            device.add_many(drafts)
            device.edit("Item 0", detail={"password": "first"})
            device.edit("Item 0", detail=secret(0))
            device.trash("Item 1")

    @contextlib.contextmanager
    def at(self, home):
        """Open a device without deriving its keys again."""
        with Vaultr(home=home, agent=False) as device:
            device.device.unlocked = StoredKey(self.key).on(device)
            yield device


def secret(n):
    return {"password": f"secret {n}"}


@pytest.fixture(scope="module")
def ann(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ann")
    (folder / "server").mkdir()
    site = KillableServer(folder / "server")
    site._environ |= {"STEP_UP_SECONDS": "3600", "LIMIT_WRITES": "100000/60"}
    with site:
        yield Owner(site, folder)


def rotating(ann, home, how):
    """Start a client that is ready to rotate."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    client = subprocess.Popen([sys.executable, "-c", ROTATING, str(home), how], text=True, **pipes)
    client.stdin.write(f"{b64(ann.key)}\n")
    client.stdin.flush()
    assert client.stdout.readline() == "ready\n", client.stderr.read()
    return client


def one_round(ann, chance, longest_seconds):
    """Rotate on one device, kill client or server during that, and return how long it took."""
    home, how = chance.choice(ann.homes), chance.choice(["anew", "on"])
    with rotating(ann, home, how) as client:
        began = time.monotonic()
        client.stdin.write("go\n")
        client.stdin.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(chance.uniform(0, longest_seconds))
        if chance.random() < 0.5:
            client.kill()
        else:
            ann.site.kill()
        _, output = client.communicate(timeout=120)
    # Lost responses and errors are printed in one line; any other output is a bug.
    assert client.returncode in (0, 1, -signal.SIGKILL)
    assert "Traceback" not in output, output
    return time.monotonic() - began


def check(device, chance):
    """Check that all items and versions open, none is lost or duplicated, under one key."""
    items = device.items(state="any")
    found = {item.title: device.item(str(item.id), offline=True).detail for item in items}
    assert found == {f"Item {n}": secret(n) for n in range(ITEMS)}
    assert len(items) == ITEMS
    (vault,) = device.device.unlocked.reader.vaults()
    active = {held.generation for held in vault.state.items.values() if held.state == "active"}
    assert active == {vault.state.generation} == {vault.state.overview.generation}
    title = chance.choice(["Item 0", "Item 2"])
    versions = device.history(title)
    for each in chance.sample(versions, min(4, len(versions))):
        assert "password" in device.version(title, each.revision).detail
    assert device.explain() == []


# 40 runs of five rounds, because a single test must not exceed the time-out.
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=LONG) for n in range(1, 40))])
def test_rotation_killed_at_random_continues_on_another_device(ann, count, seed):
    chance = random.Random(seed)
    for _ in range(count(1, many=5)):
        one_round(ann, chance, longest_seconds=1.0)

        with ann.at(chance.choice(ann.homes)) as device:
            device.rotate()
            check(device, chance)
    for home in ann.homes:
        with ann.at(home) as device:
            check(device, chance)
            unlocked = device.device.unlocked
            assert not unlocked.acceptor._rotator._says_running(unlocked.reader.vaults()[0])
