"""Two devices on a real server that is restored from a real, older dump: nothing is lost."""

import json
import re

import pytest

from tests.harness import servers
from tests.harness.client.local_server import Site
from tests.harness.client.owners import owner, second
from tests.harness.client.restorable_server import PostgresDump, SqliteDump


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def at(request, tmp_path):
    """A separate server on each database, and its dump."""
    (tmp_path / "server").mkdir()
    site = Site(tmp_path / "server")
    dump = SqliteDump
    if request.param == "postgresql":
        url = servers.fresh_database(request.getfixturevalue("postgres_url"))
        site._environ |= {"DATABASE_URL": url, "VAULTR_ENV": "development"}
        dump = lambda *provided: PostgresDump(*provided, url)  # noqa: E731 - bound to this address
    with site:
        site.dump = lambda: dump(site, tmp_path)
        yield site


@pytest.fixture
def unlocked():
    """Keep devices unlocked during the test, so that not every command derives keys."""
    devices = []

    def keep(device):
        devices.append(device.with_agent())
        devices[-1].done("unlock")
        return devices[-1]

    yield keep
    for device in devices:
        device.done("lock", password=None)


def add(device, title, password, *more):
    item = json.dumps({"overview": {"title": title}, "detail": {"password": password}})
    return device.run_json("add", "login", *more, stdin=item)


def passwords(device):
    found = {}
    for item in device.run_json("list"):
        shown = device.run_json("show", item["id"], "--reveal")
        found[item["overview"]["title"]] = shown["detail"]["password"]
    return found


def test_restored_dump_is_explained_accepted_and_lossless(at, tmp_path, unlocked):
    laptop = owner(at, tmp_path, "ann@example.org")
    for title in ("Mail", "Bank", "Door"):
        add(laptop, title, f"first {title}")
    phone = unlocked(second(at, tmp_path, laptop))
    laptop = unlocked(laptop)
    dump = at.dump()
    # Data that only the laptop, only the phone, or both had when the server was lost.
    laptop.done("edit", "Mail", "--secret", "password", stdin="second Mail\n")
    laptop.done("vaults", "add", "Work")
    add(laptop, "Ship", "first Ship", "--vault", "Work")
    phone.done("sync")
    phone.done("rm", "Door")
    phone.done("edit", "Bank", "--secret", "password", stdin="from the phone\n")
    add(phone, "Lamp", "first Lamp")

    dump.restore()

    assert "older profile" in laptop.fails(5, "list")
    assert "first Ship" in laptop.done("show", "Ship", "--field", "password", "--offline")
    assert "review these differences first" in laptop.types("sync", "--accept").stderr.lower()
    explained = laptop.types("sync", "--explain")
    assert explained.returncode == 5
    assert re.search(r"Mail +older content", explained.stdout)
    assert "missing from the server's list" in explained.stdout
    taken = laptop.run_json("sync", "--accept")
    assert {each["name"] for each in taken} == {"Personal", "Work"}
    assert passwords(laptop) == {
        "Mail": "second Mail",
        "Bank": "first Bank",
        "Door": "first Door",
        "Ship": "first Ship",
    }

    assert phone.types("list").returncode == 5
    phone.done("sync", "--accept", "--yes")
    whole = {
        "Mail": "second Mail",
        "Bank": "from the phone",
        "Ship": "first Ship",
        "Lamp": "first Lamp",
    }
    assert passwords(phone) == whole
    assert passwords(laptop) == whole
    assert [each["overview"]["title"] for each in phone.run_json("list", "--trash")] == ["Door"]
    for device in (laptop, phone):
        device.done("sync", "--explain")
        assert "There is nothing to accept" in device.types("sync", "--accept").stderr
