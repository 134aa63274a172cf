"""A server that shows two devices different audit logs, until they meet through the profile."""

import contextlib
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from tests.client.local_server import Site
from tests.client.logout_proxy import Between
from tests.client.owners import owner, second

PATIENCE_SECONDS = 60
AUDIT = "/api/v1/audit/"
DENIED_LOGINS = 12


class Fork(Between):
    """Sends what is about the audit log to another server, and hides the log of this one."""

    forked = None

    def show(self, site):
        """Show another server's log from now on."""
        self.forked = site.url.partition("//")[2]
        self.hidden_header = "X-Vaultr-Checkpoint"

    def netloc_of(self, path):
        return self.forked if self.forked and path.startswith(AUDIT) else self.netloc


def newest(site):
    """Read size and signed note of a server's newest checkpoint."""
    with contextlib.closing(sqlite3.connect(site.database)) as database:
        query = "SELECT size, note FROM audit_checkpoint ORDER BY epoch DESC, size DESC LIMIT 1"
        return database.execute(query).fetchone()


def deny_logins(site, count):
    """Make a server record events, by logins that fail."""
    for number in range(count):
        data = f'{{"email":"nobody{number}@example.org","auth_key":"{"A" * 43}"}}'.encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{site.url}/api/v1/auth/login", data, headers)
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request, timeout=60)
        raised.value.close()
        assert raised.value.code == 401, raised.value.code


def wait_until_larger(site, size):
    until = time.monotonic() + PATIENCE_SECONDS
    while newest(site)[0] <= size:
        assert time.monotonic() < until, "the events are not sequenced"
        time.sleep(0.2)


@pytest.fixture
def devices(tmp_path):
    """Two devices of an owner, each behind a proxy; the first one has verified the log."""
    (tmp_path / "real").mkdir()
    with contextlib.ExitStack() as stack:
        with Site(tmp_path / "real") as site:
            proxies = [stack.enter_context(each(site.url)) for each in (Between, Fork)]
            first = owner(site, tmp_path, "split@example.org", url=proxies[0].url)
            other = second(site, tmp_path, first, url=proxies[1].url)
            wait_until_larger(site, 3)
            first.done("audit", "verify")
        shutil.copytree(tmp_path / "real", tmp_path / "fork")
        site = stack.enter_context(Site(tmp_path / "real"))
        for each in proxies:
            each.netloc = site.url.partition("//")[2]
        yield SimpleNamespace(
            first=first, other=other, split=proxies[1], site=site,
            fork=stack.enter_context(Site(tmp_path / "fork")),
        )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("longer", [True, False], ids=["longer", "shorter"])
def test_split_view_is_reported_when_devices_meet(devices, longer):
    site, fork = devices.site, devices.fork
    common = newest(fork)[0]
    deny_logins(fork if longer else site, DENIED_LOGINS)
    devices.first.run_json("add", "note", stdin='{"overview": {"title": "In one log"}}')
    wait_until_larger(site, common)
    wait_until_larger(fork, newest(site)[0] if longer else 0)
    devices.first.done("audit", "verify")
    devices.split.show(fork)

    message = devices.other.fails(5, "audit", "verify")

    assert newest(fork)[1] in message
    assert "--- signed state 2" in message
    devices.first.done("audit", "verify")
