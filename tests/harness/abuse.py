"""Abuse a pod of the chart's size, and compare what its other users notice."""

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from uuid import uuid4

import psutil
import redis

from tests import factories
from tests.harness import app_fixtures, growth, hostile_requests, mail_servers, pod_memory, servers
from tests.harness.abusers import Abuser, Plan
from tests.harness.busy_users import RecoveringUsers, TimedInbox, User, Users
from tests.harness.gunicorn_server import ROOT, running
from tests.harness.timing import until
from vaultr.auth.password_hashing import WAIT_SECONDS
from vaultr.database.session import db

MEMORY_MIB, HOSTILE_MIB = 512, 400
REDIS_BYTES = 32 << 20
POD = {"WEB_CONCURRENCY": "2", "WEB_THREADS": "4", "BACKGROUND": "process"}
POD |= {"PARALLEL_REQUESTS": "2"}  # the default for four threads; other tests use more
STRANGER, ACCOUNT = "127.0.0.66", "127.0.0.67"
MALLORY = "mallory@example.org"
USERS, WRITERS, SESSIONS = 6, 2, 12
SLOWER, EMAIL_SECONDS = 5, 10
# Without --long other tests run at the same time, so times say little about the pod.
BESIDE_OTHERS_SECONDS = 30
# Rows of the account's vault, whose pages have the maximum size.
ITEMS, ITEM_BYTES = 200, 30_000


class Pod:
    """The server under its limits, its worker and its mail server.

    :ivar port: where clients reach it.
    """

    def __init__(self, server, app, inbox, connection):
        self.server, self.app, self.inbox, self.redis = server, app, inbox, connection
        self.port = server.port
        self.settings = app.config["SETTINGS"]
        self.processes = self.running()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def running(self):
        """Return the ids of the server's processes, after both workers were forked."""

        def found():
            return {one.pid for one in psutil.Process(self.server.process.pid).children()}

        until(lambda: len(found()) == 2)
        return found()


@contextlib.contextmanager
def started_pod(tmp_path, *, alone, **more):
    """Run a pod with its own database, Redis and mail server.

    :param alone: whether nothing else runs, so that times are meaningful.
    """
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(servers.postgres(own=True, durable=True, connections=30))
        cache = stack.enter_context(servers.redis_server(own=True, memory="32mb"))
        inbox = TimedInbox()
        mail_port = stack.enter_context(mail_servers.running(inbox))
        url = servers.fresh_database(database.url)
        environ = {"DATABASE_URL": url, "REDIS_URL": cache.url, **POD, **more}
        environ |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail_port), "SMTP_SECURE": "none"}
        environ["LOGIN_WAIT_SECONDS"] = f"{WAIT_SECONDS if alone else BESIDE_OTHERS_SECONDS:.0f}"
        within = stack.enter_context(pod_memory.limited(MEMORY_MIB))
        server = stack.enter_context(running(tmp_path, within=within, **environ))
        stack.enter_context(_worker(server))
        mine = app_fixtures.Settings.from_environ({**server.environ, "LOG_LEVEL": "WARNING"})
        app = app_fixtures.create_app(mine)
        connection = stack.enter_context(redis.Redis.from_url(cache.url))
        yield Pod(server, app, inbox, connection)
        with app.app_context():
            db.engine.dispose()


@contextlib.contextmanager
def _worker(server):
    """Run ``flask worker`` next to the pod, like its separate deployment."""
    with (server._out.parent / "worker.out").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "worker"],
            cwd=ROOT, env=server.environ, stdout=out, stderr=out,
        )  # fmt: skip
        try:
            yield
            assert process.poll() is None
        finally:
            process.terminate()
            process.wait()


def _fill(vault):
    for _ in range(0, ITEMS, 50):
        steps = [("put", uuid4(), "x" * ITEM_BYTES) for _ in range(50)]
        vault.done(vault.batch_request(*steps))


def abusive_account(pod):
    """Return an account with a large vault, two empty ones, and several sessions."""
    with pod.app.app_context():
        vault = factories.vault(MALLORY)
        _fill(vault)
        owned = factories.item(vault)
        empty = [factories.vault(MALLORY) for _ in range(WRITERS)]
        sessions = [factories.session(factories.owner(MALLORY)) for _ in range(SESSIONS)]
        stale = factories.session(factories.owner(MALLORY))
        factories.grow_stale(stale.id)
    return owned, empty, sessions, stale


@contextlib.contextmanager
def abuse(pod, mallory, users, seconds):
    """Run an anonymous client and an account that send as much as they can for this long."""
    owned, empty, sessions, stale = mallory
    anonymous = hostile_requests.of_anonymous(pod.app, [one.email for one in users])
    account = hostile_requests.of_account(pod.app, owned, sessions[0], stale, MALLORY)
    vaults = [[str(one.id), str(one.author_id)] for one in empty]
    tokens = [one.access_token for one in sessions]
    with contextlib.ExitStack() as stack:
        abusers = [
            stack.enter_context(Abuser(Plan(pod.port, STRANGER, seconds, anonymous))),
            stack.enter_context(
                Abuser(Plan(pod.port, ACCOUNT, seconds, account, 32, tokens, vaults))
            ),
        ]
        for one in abusers:
            one.start()
        yield abusers


def check_abuse(pod, mallory, quiet, seconds, tmp_path, *, alone):
    """Abuse a pod, and check that its users notice nothing."""
    users = [User(pod.app, pod.url, number) for number in range(USERS)]
    forgetful = RecoveringUsers(pod.app, pod.url, pod.inbox, 10 + seconds // 2)
    with Users(users, forgetful, pod.url) as unloaded:
        time.sleep(quiet)
    rows, keys, began = growth.rows(pod.app), pod.redis.dbsize(), time.monotonic()

    with pod_memory.Memory(pod.server.process.pid, every=0.5) as memory:
        loaded = Users(users, forgetful, pod.url)
        with abuse(pod, mallory, users, seconds) as abusers, loaded:
            anonymous, account = (one.seen() for one in abusers)
    took = time.monotonic() - began
    before, during = unloaded.record, loaded.record
    found = figures(before, during, (anonymous, account), memory)
    (tmp_path / "figures.json").write_text(json.dumps(found, indent=2))

    # A probe has less than five seconds, which a busy machine may exceed.
    timed = set() if alone else {"ready"}
    assert [one for one in before.failures() + during.failures() if one.kind not in timed] == []
    assert during.p99() <= (SLOWER * before.p99() if alone else BESIDE_OTHERS_SECONDS)
    emails = EMAIL_SECONDS if alone else BESIDE_OTHERS_SECONDS
    assert 0 < max(during.email_seconds) <= emails
    assert 0 < memory.peak_mib <= MEMORY_MIB
    assert pod.running() == pod.processes
    grown = {name: count - rows[name] for name, count in growth.rows(pod.app).items()}
    most = growth.most_rows(pod.settings, took)
    assert grown.keys() == most.keys()
    theirs = len(during.seen)
    assert {name: n for name, n in grown.items() if n > most[name] + theirs} == {}
    assert pod.redis.dbsize() - keys <= growth.most_keys(pod.settings) + 2 * theirs
    assert pod.redis.info("memory")["used_memory"] < REDIS_BYTES
    for seen in (anonymous, account):
        assert statuses(seen)[429] > 0
        assert statuses(seen)[500] == 0


def statuses(seen):
    """Return the number of responses for each status."""
    total = Counter()
    for (_, status), count in seen.items():
        total[status] += count
    return total


def figures(before, during, abusers, memory):
    """Return the figures of this test for docs/performance.md."""
    return {
        "number, median and p99 (ms) without abuse": before.summary(),
        "with abuse": during.summary(),
        "p99 of all (s)": (before.p99(), during.p99()),
        "slowest email (s)": max(during.email_seconds, default=None),
        "memory (MiB)": memory.peak_mib,
        "responses to the stranger": dict(statuses(abusers[0])),
        "responses to the account": dict(statuses(abusers[1])),
    }
