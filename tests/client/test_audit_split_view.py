"""A server that shows two devices different audit logs, until they compare them in the profile."""

import contextlib
import json
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from tests import factories
from tests.harness.client.devices import NOBODY
from tests.harness.client.local_server import Site
from tests.harness.client.logout_proxy import LogoutProxy
from tests.harness.client.owners import owner, second

PATIENCE_SECONDS = 60
AUDIT = "/api/v1/audit/"
DENIED_LOGINS = 12


class Fork(LogoutProxy):
    """Sends requests about the audit log to another server, and hides this server's log."""

    forked = None

    def show(self, site):
        """From now on show another server's log, or with None this server's own."""
        self.forked = None if site is None else site.url.partition("//")[2]
        self.hidden_header = None if site is None else "X-Vaultr-Checkpoint"

    def netloc_of(self, path):
        return self.forked if self.forked and path.startswith(AUDIT) else self.netloc


def site_of(folder, split):
    """Return a server that is reached through the proxy, so that its tokens are valid there."""
    site = Site(folder)
    site._environ["BASE_URL"] = split.url
    return site


def notes(site):
    """Read the signed notes of a server's checkpoints, by size."""
    with contextlib.closing(sqlite3.connect(site.database)) as database:
        return dict(database.execute("SELECT size, note FROM audit_checkpoint"))


def size_of(site):
    return max(notes(site), default=0)


def deny_logins(site, count):
    """Make a server record events, by failed logins."""
    for number in range(count):
        data = json.dumps(factories.login(f"nobody{number}@example.org")).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{site.url}/api/v1/auth/login", data, headers)
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=60)
        raised.value.close()
        assert raised.value.code == 401, raised.value.code


def wait_until_larger(site, size):
    until = time.monotonic() + PATIENCE_SECONDS
    while size_of(site) <= size:
        assert time.monotonic() < until, "the events are not sequenced"
        time.sleep(0.2)


@pytest.fixture
def devices(tmp_path):
    """Two devices of an owner behind a proxy; a server that continues with a copy of the log."""
    (tmp_path / "real").mkdir()
    with contextlib.ExitStack() as stack:
        split = stack.enter_context(Fork(NOBODY))
        with site_of(tmp_path / "real", split) as site:
            split.netloc = site.url.partition("//")[2]
            first = owner(site, tmp_path, "split@example.org", url=split.url)
            other = second(site, tmp_path, first, url=split.url)
            wait_until_larger(site, 3)
            first.done("audit", "verify")
        shutil.copytree(tmp_path / "real", tmp_path / "fork")
        site = stack.enter_context(site_of(tmp_path / "real", split))
        split.netloc = site.url.partition("//")[2]
        fork = stack.enter_context(site_of(tmp_path / "fork", split))
        yield SimpleNamespace(first=first, other=other, split=split, site=site, fork=fork)


@pytest.mark.long
@pytest.mark.parametrize("longer", [True, False], ids=["longer", "shorter"])
def test_split_view_is_reported_when_devices_compare_checkpoints(devices, longer):
    first, site, fork = devices.first, devices.site, devices.fork
    common = size_of(fork)
    deny_logins(fork if longer else site, DENIED_LOGINS)
    first.run_json("add", "note", stdin='{"overview": {"title": "In one log"}}')
    wait_until_larger(site, common)
    wait_until_larger(fork, size_of(site) if longer else 0)
    first.done("audit", "verify")
    devices.split.show(fork)

    message = devices.other.fails(5, "audit", "verify").replace("vaultr: ", "")

    real, forked = set(notes(site).values()), set(notes(fork).values())
    assert any(note in message for note in real - forked)
    assert any(note in message for note in forked)
    devices.split.show(None)
    first.done("audit", "verify")
