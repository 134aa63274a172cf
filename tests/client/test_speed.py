"""How long commands take, measured as pairs of consecutive processes, so that other load on the
machine affects both alike.
"""

import copy
import resource
import statistics
import subprocess
import sys
import time

import pytest

from tests.harness.client.devices import PASSWORD, Device
from tests.harness.client.fake_server import FakeServer
from tests.harness.client.wsgi_server import WsgiServer
from vaultr import Vaultr
from vaultr.client.items.schemas import Draft

ITEMS = 10_000
EMPTY = (sys.executable, "-c", "pass")
# The minimum for unlocking: key derivation at the cost of every new account.
DERIVES = (
    "from argon2.low_level import Type, hash_secret_raw;"
    "hash_secret_raw(b'a master password', b's' * 32, 3, 65536, 4, 32, Type.ID)"
)


def seconds(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def cpu_seconds(run):
    """Measure the CPU seconds of all processes that ``run`` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pairs(first, second, *, rounds, measured=seconds):
    """Run both alternately; return the times of each."""
    return zip(*[(measured(first), measured(second)) for _ in range(rounds)], strict=True)


def starts(*words):
    return lambda: subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def device(device):
    device = copy.copy(device)
    device.forks = False
    return device


@pytest.mark.long
def test_help_takes_at_most_six_empty_starts_of_python(account, count):
    help_ = starts(*account.program, "--help")

    empty, helped = pairs(starts(*EMPTY), help_, rounds=count(7, many=21))

    assert statistics.median(helped) <= 6 * statistics.median(empty)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """An unlocked device with 10,000 items in one vault, and its server."""
    server = WsgiServer(FakeServer().wsgi)
    device = Device(tmp_path_factory.mktemp("full") / "home", server.url)
    device.done("signup", "--email", device.email)
    device.done("verify", "token0", password=None)
    device.done("login")
    with Vaultr(server.url, home=device.home / "vaultr", agent=False) as vaultr:
        vaultr.unlock(PASSWORD)
        drafts = [
            Draft(
                "login",
                {"title": f"Item {n}", "username": f"user{n}", "urls": [f"https://x{n}.example"]},
                {"password": f"secret {n}"},
            )
            for n in range(ITEMS)
        ]
        vaultr.add_many(drafts)
    unlocked = device.with_agent()
    unlocked.forks = False
    unlocked.done("unlock")
    yield unlocked
    unlocked.done("lock")
    server.close()


@pytest.mark.long
def test_list_of_10000_cached_items_is_fast(full):
    _, listed = pairs(
        starts(*EMPTY), lambda: full.done("list", "--offline", password=None), rounds=7
    )

    assert statistics.median(listed) < 1.5


@pytest.mark.long
def test_delta_sync_adds_little_time(full):
    offline, requested = pairs(
        lambda: full.done("list", "--offline", password=None),
        lambda: full.done("list", password=None),
        rounds=7,
    )

    assert statistics.median(requested) - statistics.median(offline) < 0.3


@pytest.mark.long
def test_unlock_adds_at_most_200_ms_to_derivation(device, count):
    """Python's own start, which every command has, is on both sides.

    CPU time is compared, so that other load on the machine does not count.
    """
    derived, unlocked = pairs(
        starts(sys.executable, "-c", DERIVES),
        lambda: device.done("unlock"),
        rounds=count(5, many=15),
        measured=cpu_seconds,
    )

    more = [whole - part for part, whole in zip(derived, unlocked, strict=True)]
    assert statistics.median(more) < 0.2


@pytest.mark.parametrize("words", [("unlock",), ("list", "--offline"), ("vaults", "list")])
def test_only_commands_that_contact_server_import_httpx(device, words):
    device.done("sync", password=None)
    telling = copy.copy(device)
    telling.program = (device.program[0], "-X", "importtime", *device.program[1:])

    result = telling.types(*words, password=words == ("unlock",))

    assert result.returncode == 0
    assert "vaultr.client.sdk.device_session" in result.stderr
    asks = words == ("vaults", "list")
    assert ("httpx2" in result.stderr) is ("httpcore2" in result.stderr) is asks
