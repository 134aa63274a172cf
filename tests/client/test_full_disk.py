"""A device with a full disk, or with files that cannot grow: its cache is never torn."""

import contextlib
import os
import subprocess
import sys

import pytest

from tests.harness.client.fake_server import FakeServer
from tests.harness.client.world import EMAIL, PASSWORD, StoredKey
from tests.harness.client.wsgi_server import WsgiServer
from vaultr import Vaultr
from vaultr.client.storage.private_folder import DiskFull, Folder
from vaultr.protocol.encoding import b64

WRITING = """
import resource, sys
from pathlib import Path
from tests.harness.client.world import StoredKey
from vaultr import Vaultr
from vaultr.client.errors import VaultrError
from vaultr.client.storage.private_folder import FolderUnusable
from vaultr.protocol.encoding import unb64

home, limit = Path(sys.argv[1]), int(sys.argv[2])
device = Vaultr(home=home, agent=False)
device.device.unlocked = StoredKey(unb64(sys.stdin.readline().strip())).on(device)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for n in range(40):
        device.add("login", {"title": f"{sys.argv[3]} {n}"}, {"password": "x" * 3000})
        device.edit(f"{sys.argv[3]} {n}", detail={"notes": "y"})
    device.rotate()
    device.close()
except VaultrError as error:
    print(isinstance(error, FolderUnusable), error, error.advice)
    sys.exit(1)
"""


@pytest.fixture
def owner(tmp_path):
    """An owner with a server in memory, before the device has a folder."""
    fake = FakeServer()
    listening = WsgiServer(fake.wsgi)
    fake.url = listening.url
    yield fake
    listening.close()


def signed_in(server, home):
    with Vaultr(server.url, home=home, agent=False) as device:
        device.signup(EMAIL, PASSWORD)
        device.verify("token0")
        device.unlock(PASSWORD)
        device.add("login", {"title": "First"}, {"password": "first"})
        return device.device.unlocked.account.account_key


def write(home, key, name, *, limit=0):
    """Write until the disk is full, and return the error."""
    command = [sys.executable, "-c", WRITING, str(home), str(limit), name]
    done = subprocess.run(command, input=f"{b64(key)}\n", capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def check(server, home, key):
    """Check that the device's data opens offline and online, and that nothing is missing."""
    with Vaultr(home=home, agent=False) as device:
        device.device.unlocked = StoredKey(key).on(device)
        for item in device.items(offline=True, state="any"):
            assert device.item(str(item.id), offline=True).detail["password"]
        device.rotate()
        items = device.items(state="any")
        (vault,) = server.vaults.values()
        assert {str(item.id) for item in items} == {*vault["items"]}
        assert all(device.item(str(item.id)).detail["password"] for item in items)
        assert device.explain() == []


def test_write_over_file_size_limit_leaves_intact_cache(owner, tmp_path, count):
    home = tmp_path / "home"
    key = signed_in(owner, home)
    rejected = 0
    for number in range(count(3, many=50)):
        limit = 2_000 + number * count(12_000, many=797)
        code, result = write(home, key, f"w{number}", limit=limit)
        rejected += code
        assert code == 0 or result.startswith("True"), result
        check(owner, home, key)
    assert rejected


def test_full_disk_after_write_reports_that_server_stored_it(owner, tmp_path):
    home = tmp_path / "home"
    key = signed_in(owner, home)

    code, said = write(home, key, "w", limit=2_000)

    assert code == 1
    assert "The change is stored on the server" in said
    check(owner, home, key)


def test_change_larger_than_the_disk_is_not_sent(owner, tmp_path):
    signed_in(owner, tmp_path / "home")
    folder = Folder(tmp_path / "home")

    folder.require_space(1000)

    with pytest.raises(DiskFull, match="Nothing was sent"):
        folder.require_space(2**62)


@contextlib.contextmanager
def small_disk(folder):
    """Yield a folder on a disk of 400 KiB; if mounting is not allowed, one whose files may grow."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mounting, capture_output=True).returncode == 0
    try:
        yield folder, 0 if mounted else 150_000
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_is_reported_and_preserves_old_files(owner, tmp_path):
    with small_disk(tmp_path / "disk") as (disk, limit):
        home = disk / "home"
        key = signed_in(owner, home)
        output = []
        for name in ("one", "two", "three"):
            code, words = write(home, key, name, limit=limit)
            if code:
                output.append(words)
        assert output
        assert output[-1].startswith("True")
        if not limit:
            assert "the disk of this device is full. Nothing was sent." in output[-1]

        with Vaultr(home=home, agent=False) as device:
            device.device.unlocked = StoredKey(key).on(device)
            assert device.item("First", offline=True).detail == {"password": "first"}
            for item in device.items(offline=True):
                assert device.item(str(item.id), offline=True).detail["password"]
            device.device.drop()
        unfinished = [*home.rglob("*.unfinished")]
        assert unfinished == [], "no temporary file uses the remaining space"
