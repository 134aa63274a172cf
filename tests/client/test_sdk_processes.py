"""Several processes with one folder, and processes that are killed."""

import subprocess
import sys
import time

import pytest

from tests.harness.client.fake_server import FakeServer
from tests.harness.client.world import EMAIL, PASSWORD
from tests.harness.client.wsgi_server import WsgiServer
from vaultr import Vaultr

WRITING = f"""
import sys
from pathlib import Path
from vaultr import Vaultr

with Vaultr(home=Path(sys.argv[1]), agent=False) as device:
    device.unlock({PASSWORD!r})
    print("unlocked", flush=True)
    for n in range(int(sys.argv[3])):
        device.add("login", {{"title": f"{{sys.argv[2]}} {{n}}"}}, {{"password": "x" * 3000}})
"""


@pytest.fixture
def server():
    fake = FakeServer()
    listening = WsgiServer(fake.wsgi)
    fake.url = listening.url
    yield fake
    listening.close()


@pytest.fixture
def home(tmp_path, server):
    with Vaultr(server.url, home=tmp_path / "home", agent=False) as device:
        device.signup(EMAIL, PASSWORD)
        device.verify("token0")
        device.unlock(PASSWORD)
        device.sync()
    return tmp_path / "home"


def writing(home, name, times):
    command = [sys.executable, "-c", WRITING, str(home), name, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_two_processes_write_through_one_folder_and_lose_nothing(home, count):
    each = count(3, many=50)

    writers = [writing(home, name, each) for name in ("one", "two")]
    for writer in writers:
        with writer:
            writer.communicate()
        assert writer.returncode == 0

    with Vaultr(home=home, agent=False) as device:
        device.unlock(PASSWORD)
        held = device.items(offline=True)
        assert len(held) == 2 * each
        assert len(device.items()) == 2 * each


def test_kill_at_any_moment_leaves_usable_folder(home, server, count):
    for kill in range(count(2, many=60)):
        with writing(home, str(kill), 1000) as writer:
            assert writer.stdout.readline() == b"unlocked\n"
            time.sleep(0.037 * (kill % 13))
            writer.kill()

    with Vaultr(home=home, agent=False) as device:
        device.unlock(PASSWORD)
        items = device.items()
        assert all(len(device.item(str(item.id)).detail["password"]) == 3000 for item in items)
        assert device.explain() == []
        (vault,) = server.vaults.values()
        assert len(items) == len(vault["items"])
