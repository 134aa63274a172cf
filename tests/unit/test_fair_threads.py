import contextlib
import socket
import threading
from types import SimpleNamespace

import pytest

from tests.harness.app_fixtures import environ_for
from vaultr.api import fair_threads
from vaultr.api.fair_threads import FairThreads
from vaultr.settings.model import Settings


@contextlib.contextmanager
def busy(pool):
    """Keep the pool's only thread busy until the block ends."""
    release = threading.Event()
    held = pool.submit(lambda _: release.wait(60), "first")
    try:
        yield
    finally:
        release.set()
        held.result(60)


def one_thread():
    return FairThreads(1, lambda name, *_: name)


def test_jobs_of_different_names_run_in_turns():
    done = []
    with one_thread() as pool, busy(pool):
        for name in ("a", "a", "a", "b", "c", "b"):
            pool.submit(done.append, name)

    assert "".join(done) == "abcaba"


def test_failed_job_raises_and_frees_its_thread():
    with one_thread() as pool:
        failed = pool.submit(lambda _: 1 / 0, "a")

        assert isinstance(failed.exception(60), ZeroDivisionError)
        assert pool.submit(lambda _: "next", "a").result(60) == "next"


def test_cancelled_job_never_runs():
    done = []
    with one_thread() as pool:
        with busy(pool):
            cancelled = pool.submit(done.append, "a")
            cancelled.cancel()
        pool.submit(done.append, "b").result(60)

    assert done == ["b"]


@pytest.mark.parametrize(
    ("proxies", "headers", "expected"),
    [
        ("0", "X-Forwarded-For: 192.0.2.1", "127.0.0.1"),
        ("1", "x-forwarded-for: 192.0.2.9, 192.0.2.1", "192.0.2.1"),
        ("127.0.0.0/8", "X-Forwarded-For: 192.0.2.1", "192.0.2.1"),
        ("10.0.0.0/8", "X-Forwarded-For: 192.0.2.1", "127.0.0.1"),
        ("1", "X-Forwarded-For: 2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1", "192.0.2.1"),
        ("1", "Accept: */*", "127.0.0.1"),
        ("1", "Accept: */*\r\n\r\nX-Forwarded-For: 192.0.2.1", "127.0.0.1"),
    ],
)
def test_queue_name_is_the_client_address(tmp_path, proxies, headers, expected):
    settings = Settings.from_environ(environ_for(tmp_path, TRUSTED_PROXIES=proxies))
    ours, theirs = socket.socketpair()
    request = f"GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode()
    theirs.sendall(request)
    connection = SimpleNamespace(client=("127.0.0.1", 50_000), sock=ours)

    with fair_threads.pool(1, settings) as pool:
        assert pool._name_of(connection) == expected

    assert ours.recv(4096) == request
    ours.close()
    theirs.close()
