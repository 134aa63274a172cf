"""Many of the owner's devices write to one vault at the same time, with a real server."""

import contextlib
import shutil
import subprocess
import sys

import pytest

from tests.harness import servers
from tests.harness.client.devices import PASSWORD
from tests.harness.client.local_server import Site
from tests.harness.client.owners import owner
from vaultr import Vaultr

WRITERS = 8
WRITING = f"""
import sys
from pathlib import Path
from vaultr import Vaultr
from vaultr.client.vaultr_client import EditConflict
from vaultr.client.errors import HeadMoved

def until_done(act):
    # A writer that is overtaken too often gets an error, and has written nothing.
    while True:
        try:
            return act()
        except (EditConflict, HeadMoved):
            pass

home, name, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with Vaultr(home=home, agent=False) as device:
    device.unlock({PASSWORD!r})
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(times):
        title = f"{{name}} {{n}}"
        until_done(lambda: device.add("login", {{"title": title}}, {{"password": title}}))
        until_done(lambda: device.edit("Shared", detail={{name: str(n)}}))
        if n % 2:
            until_done(lambda: device.trash(title))
    if name == "w0":
        until_done(device.rotate)
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def laptop(request, tmp_path):
    """The owner's first device, with a separate server on each database."""
    (tmp_path / "server").mkdir()
    site = Site(tmp_path / "server")
    site._environ["LIMIT_WRITES"] = "100000/60"
    if request.param == "postgresql":
        url = servers.fresh_database(request.getfixturevalue("postgres_url"))
        site._environ |= {"DATABASE_URL": url, "VAULTR_ENV": "development"}
    with site:
        yield owner(site, tmp_path, "ann@example.org")


def test_eight_concurrent_writers_lose_nothing_in_one_valid_chain(laptop, tmp_path, count):
    times = count(2, many=40)
    with Vaultr(home=laptop.home / "vaultr", agent=False) as device:
        device.unlock(PASSWORD)
        device.add("login", {"title": "Shared"}, {})
    homes = [shutil.copytree(laptop.home / "vaultr", tmp_path / f"w{n}") for n in range(WRITERS)]

    with contextlib.ExitStack() as all_of_them:
        writers = [all_of_them.enter_context(writing(home, times)) for home in homes]
        for writer in writers:
            assert writer.stdout.readline() == b"ready\n", writer.stderr.read().decode()
        for writer in writers:
            writer.stdin.write(b"go\n")
            writer.stdin.flush()
        for writer in writers:
            _, output = writer.communicate()
            assert writer.returncode == 0, output.decode()

    new = shutil.copytree(homes[0], tmp_path / "new", ignore=shutil.ignore_patterns("vaults"))
    for home in (new, homes[1]):  # by the full set, and by the chain from its current state
        with Vaultr(home=home, agent=False) as device:
            device.unlock(PASSWORD)
            check(device, times)


@contextlib.contextmanager
def writing(home, times):
    """Start one writer; end it if it has not ended by itself."""
    command = [sys.executable, "-c", WRITING, str(home), home.name, str(times)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as writer:
        try:
            yield writer
        finally:
            writer.kill()


def check(device, times):
    """Check that all writes exist exactly once, and that the last entry commits to them."""
    device.sync()
    written = {f"w{w} {n}" for w in range(WRITERS) for n in range(times)}
    trashed = {name for name in written if int(name.split()[1]) % 2}
    active = device.items()
    assert sorted(item.title for item in active) == sorted({*(written - trashed), "Shared"})
    assert sorted(item.title for item in device.items(state="trash")) == sorted(trashed)
    assert device.item("Shared").detail == {f"w{w}": str(times - 1) for w in range(WRITERS)}
    for item in active:
        if item.title != "Shared":
            assert device.item(str(item.id), offline=True).detail == {"password": item.title}
    assert device.explain() == []
