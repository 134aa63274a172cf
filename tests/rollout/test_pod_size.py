"""The size of a pod: memory below its request during hashes and syncs, and its start time."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import factories
from tests.harness import pod_memory, servers
from tests.rollout import tools
from tests.rollout.compose_processes import Site
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.protocol.encoding import b64
from vaultr.settings.model import Settings

REQUESTED_MIB = 512  # of memory, in the chart and in the guide
POD = {"WEB_CONCURRENCY": "2", "LIMIT_LOGIN_ADDRESS": "1000000/60", "LIMIT_ANONYMOUS": "1000000/60"}
LOGINS, AT_ONCE = 160, 32


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pod")
    folder.chmod(0o755)
    with Site(folder) as site:
        yield site


def _fill(site, count):
    """Create accounts and a vault with many items; return its owner's headers and its path."""
    app = create_app(
        Settings.from_environ(site.environ("app", PORT="3999", VAULTR_ENV="development", **POD))
    )
    with app.app_context():
        emails = [f"user{number}@example.org" for number in range(40)]
        for email in emails:
            factories.account(email)
        vault = factories.vault("owner@example.org")
        items = count(2_000, many=10_000)
        for _ in range(items // 1000):
            steps = [("put", uuid.uuid4()) for _ in range(1000)]
            vault.done(vault.batch_request(*steps))
        headers = {"Authorization": vault.client.environ_base["HTTP_AUTHORIZATION"]}
        path = vault.path
        db.engine.dispose()
    return emails, path, headers, items


def test_pod_memory_stays_under_request_during_logins_and_syncs(site, count):
    emails, path, headers, items = _fill(site, count)
    over_https = {"X-Forwarded-Proto": "https"}
    with pod_memory.limited(REQUESTED_MIB) as within:
        port = site.start("app1", within=within, **POD)
        with (
            pod_memory.Memory(site.running["app1"].pid) as memory,
            ThreadPoolExecutor(AT_ONCE) as threads,
        ):

            def login(number):
                email = emails[number % len(emails)]
                body = {
                    "email": email,
                    "auth_key": b64(factories.auth_key(email)),
                    "device": {"id": str(uuid.uuid4()), "name": "x"},
                }
                return site.ask(
                    port, "/api/v1/auth/login", method="POST", body=body,
                    headers={**over_https, "X-Forwarded-For": f"10.7.0.{number % 250}"}, timeout=60,
                )[0]  # fmt: skip

            logins = threads.map(login, range(LOGINS))
            after, seen = 0, 0
            while True:
                status, body, _ = site.ask(
                    port, f"{path}/sync?since=0&after={after}&limit=1000",
                    headers={**headers, **over_https}, timeout=60,
                )  # fmt: skip
                assert status == 200, body
                page = json.loads(body)
                after, seen = page["through"], seen + len(page["items"])
                if not page["more"]:
                    break
            codes = list(logins)
        assert site.stop("app1") == 0

    assert seen == items
    assert {*codes} <= {200, 503}
    assert codes.count(200) > 0
    assert 0 < memory.peak_mib < REQUESTED_MIB


def test_pod_is_ready_within_three_times_the_baseline_start(site):
    """Both are gunicorn with two workers; the baseline has one bare view."""
    ratios = []
    for round_ in range(3):
        baseline = _baseline_start_seconds()
        began = time.monotonic()
        site.start(f"app-{round_}", **POD)
        ratios.append((time.monotonic() - began) / baseline)
        site.stop(f"app-{round_}")

    assert min(ratios) <= 3


def _baseline_start_seconds():
    """Return the seconds until the baseline responds."""
    port = servers.free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--no-control-socket", "--bind", f"127.0.0.1:{port}",
        "--workers", "2", "--worker-class", "gthread", "--threads", "16", "--preload",
        "tests.rollout.baseline_app:app",
    ]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=tools.ROOT, stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                    assert answer.status == 200
                return time.monotonic() - began
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.terminate()
        process.wait()
