"""Fixtures for the tests of the client."""

import contextlib
import functools
import itertools
from functools import partial

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.interleaved_commands import interleaved_at_steps, quick
from tests.harness.client.local_server import Site
from tests.harness.client.owners import owner
from tests.harness.client.rotation_cases import fill
from tests.harness.client.tampering_proxy import Proxy
from tests.harness.client.world import World
from vaultr.client.crypto import primitives


@pytest.fixture(scope="module")
def derived_at_once():
    """Make key derivation fast, in modules about what happens between requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(primitives, "argon2id", quick)
        yield


@pytest.fixture
def cached_derivations(monkeypatch):
    """Derive each key only once, since the rounds of a test share most of them.

    Pauses between attempts take no time.
    """
    monkeypatch.setattr(primitives, "argon2id", functools.cache(primitives.argon2id))
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture(scope="module")
def quick_world(derived_at_once, tmp_path_factory):
    return World(tmp_path_factory.mktemp("quick")).keep_key()


@pytest.fixture(scope="module")
def first_world(request, pytestconfig, tmp_path_factory):
    """The first owner of a module; Argon2id has its full cost only with ``--long``.

    Hundreds of tests would spend most of their time on it. Tests of key derivation, commands and
    real servers always derive keys at full cost.
    """
    if not pytestconfig.getoption("--long"):
        request.getfixturevalue("derived_at_once")
    return World(tmp_path_factory.mktemp("world")).keep_key()


@pytest.fixture
def world(first_world, tmp_path):
    """An owner with one logged-in device, and a server in memory."""
    return first_world.copied(tmp_path)


@pytest.fixture
def worlds(quick_world, tmp_path):
    """``worlds()``: create another owner like `world`, with fast key derivation."""
    numbers = itertools.count()
    return lambda: quick_world.copied(tmp_path / f"world{next(numbers)}")


@pytest.fixture
def crossed(worlds, count):
    """`interleaved_at_steps` in such worlds; with ``--long`` at every step."""
    return partial(interleaved_at_steps, worlds, apart=count(3, many=1))


@pytest.fixture
def filled(world):
    """An owner with some items; one was edited, one trashed."""
    return fill(world)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A real server, started like by `make run`."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def account(site, tmp_path_factory):
    """An owner with a first device; ``made`` is the response to the signup."""
    device = Device(tmp_path_factory.mktemp("first") / "home", site.url)
    device.made = device.run_json("signup", "--email", device.email)
    device.done("verify", site.token(of=device.email), password=None)
    device.done("login")
    device.done("sync")
    return device


@pytest.fixture(scope="module")
def device(account):
    """The owner's first device, unlocked, so that not every command derives keys.

    It is unlocked again for each module, because other tests lock it.
    """
    unlocked = account.with_agent()
    unlocked.done("unlock")
    yield unlocked
    unlocked.done("lock")


@pytest.fixture(scope="module")
def own_device(request, site, tmp_path_factory):
    """The unlocked device of an account that only one test module uses."""
    email = f"{request.module.__name__.rpartition('.')[2]}@example.org"
    unlocked = owner(site, tmp_path_factory.mktemp("own"), email).with_agent()
    unlocked.done("unlock")
    yield unlocked
    unlocked.done("lock")


@pytest.fixture(scope="session")
def other_device(account, site, tmp_path_factory):
    """The owner's second device."""
    device = Device(tmp_path_factory.mktemp("second") / "home", site.url)
    device.done("login", "--email", device.email, secret_key=account.made["secret_key"])
    device.done("sync")
    return device


@pytest.fixture(scope="module")
def first_proxy(derived_at_once, tmp_path_factory):
    with contextlib.closing(Proxy(tmp_path_factory.mktemp("proxy"))) as proxy:
        yield proxy


@pytest.fixture
def proxy(first_proxy):
    """An owner who runs `vaultr`, and a server whose responses a test can change."""
    first_proxy.restore()
    return first_proxy
