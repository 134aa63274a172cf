"""The programs that are measured: PostgreSQL with real writes, Redis, the server, the baseline."""

import contextlib
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.harness import servers
from tests.harness.first_hour_site import BIN, ROOT, Site, free_port

WORKERS = 2
THREADS = 16
PLENTY = "100000000/60"


@dataclass
class Installation:
    """The server, the server without audit of its writes, and the baseline, on one database."""

    site: Site
    silent_port: int
    baseline_port: int
    database_url: str


@contextlib.contextmanager
def installed() -> Iterator[Site]:
    """Start PostgreSQL and Redis, and install the server; return it before its start."""
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.postgres(own=True, durable=True) as postgres,
        servers.redis_server(own=True) as redis,
    ):
        url = servers.fresh_database(postgres.url)
        site = Site(Path(folder), url, redis.url, **unlimited())
        site.upgrade()
        yield site


@contextlib.contextmanager
def running() -> Iterator[Installation]:
    """Start everything, and stop it at the end."""
    with installed() as site:
        site.start()
        url, redis_url = site.environ["DATABASE_URL"], site.environ["REDIS_URL"]
        with _silent(site, url, redis_url) as silent_port, _baseline(url) as port:
            yield Installation(site, silent_port, port, url)
        site.stop()


class SilentSite(Site):
    """The server without audit of its writes."""

    program = "bench.silent:app"


@contextlib.contextmanager
def _silent(site: Site, database_url: str, redis_url: str) -> Iterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        silent = SilentSite(Path(folder), database_url, redis_url)
        own = {"PORT": str(silent.port), "VAULTR_HOME": folder, "BACKGROUND": "process"}
        silent.environ = {**site.environ, **own}
        silent.start()
        try:
            yield silent.port
        finally:
            silent.stop()


def unlimited() -> dict[str, str]:
    """Settings whose limits are counted but never reached; servers accept each other's tokens."""
    names = "LOGIN_ACCOUNT LOGIN_ADDRESS SIGNUP REFRESH MAIL WRITES READS ANONYMOUS CHANGES"
    limits = {f"LIMIT_{name}": PLENTY for name in names.split()}
    return {
        **limits,
        "PARALLEL_REQUESTS": "1000",
        "QUOTA_ITEMS": "1000000",
        "QUOTA_VAULTS": "100",
        "QUOTA_MACHINES": "1000",
        "BASE_URL": "http://127.0.0.1",
        "WEB_CONCURRENCY": str(WORKERS),
        "WEB_THREADS": str(THREADS),
        "LOG_LEVEL": "WARNING",
    }


@contextlib.contextmanager
def _baseline(url: str) -> Iterator[int]:
    port = free_port()
    environ = {**os.environ, "BASELINE_DSN": url.replace("+psycopg2", "")}
    command = [BIN / "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread"]
    command += ["-w", str(WORKERS), "--threads", str(THREADS), "--keep-alive", "5"]
    command += ["--no-control-socket", "--log-level", "warning", "bench.baseline:app"]
    process = subprocess.Popen(command, cwd=ROOT, env=environ)
    try:
        _wait_until_ready(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(process: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/up", timeout=1)
            return
        time.sleep(0.1)
    raise RuntimeError(f"the baseline does not respond (its exit code is {process.poll()})")


def worker_mebibytes(site: Site) -> float:
    """Return the memory of the largest worker (unique set size), in MiB."""
    children = psutil.Process(site.pid).children()
    return max(child.memory_full_info().uss for child in children) / 2**20
