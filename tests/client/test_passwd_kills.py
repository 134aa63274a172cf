"""`vaultr passwd` with a real server; client or server are killed at random points."""

import os
import random
import signal
import subprocess
import time

import psutil
import pytest

from tests.harness.client.devices import PROGRAM, pipe
from tests.harness.client.local_server import Site
from tests.harness.client.owners import owner, second

PASSWORDS = ("the first master password", "and the second master password")
ITEM = '{"overview": {"title": "Mail"}, "detail": {"password": "hunter2"}}'
PATIENCE_SECONDS = 120
UNREACHABLE = 4


@pytest.fixture(scope="module")
def killable_site(tmp_path_factory):
    """A separate server, because it is also killed."""
    with Site(tmp_path_factory.mktemp("killable")) as site:
        yield site


def begin(device, new, *words):
    """Start changing the password, and return the process."""
    descriptors = [pipe(device.password), pipe(new)]
    fds = map(str, descriptors)
    arguments = ["passwd", *words, "--password-fd", next(fds), "--new-password-fd", next(fds)]
    try:
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            env=device.environ,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def kill_worker(site):
    """Kill a worker at any moment; gunicorn starts another one."""
    for worker in psutil.Process(site._process.pid).children():
        worker.kill()


def answered(device, word, password):
    """Run a command; repeat it while the killed server is not back."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (result := device.types(word, password=password)).returncode == UNREACHABLE:
        assert time.monotonic() < until, result.stderr
    return result


def opens(device, password):
    """Return whether a device opens with a password, also online."""
    result = answered(device, "sync", password)
    if "vaultr login" in result.stderr and result.returncode == 1:
        result = answered(device, "login", password)
    assert result.returncode in (0, 1), (result.stdout, result.stderr)
    assert result.returncode == 0 or "password" in result.stderr.lower(), result.stderr
    return result.returncode == 0


def change_password_with_kill(site, device, chance, longest):
    """Change the password with a kill at some moment; return the password that opens afterwards."""
    new = next(each for each in PASSWORDS if each != device.password)
    words = chance.choice((["--nobody-knows"], ["--others-know"]))
    process = begin(device, new, *words)
    time.sleep(chance.uniform(0.3, 1.1) * longest)  # the moment is deliberately random
    if chance.random() < 0.5:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        kill_worker(site)
    process.wait(PATIENCE_SECONDS)
    order = [device.password, new]
    chance.shuffle(order)
    return [password for password in order if opens(device, password)]


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 20))]
)
def test_after_kill_exactly_one_password_opens(killable_site, tmp_path, seed, count):
    chance = random.Random(seed)
    first = owner(killable_site, tmp_path, f"kill{seed}@example.org", password=PASSWORDS[0])
    first.done("add", "login", "--json", stdin=ITEM)
    other = second(killable_site, tmp_path, first)
    began = time.monotonic()
    first.done("passwd", "--others-know", also={"--new-password-fd": PASSWORDS[1]})
    first.password, longest = PASSWORDS[1], time.monotonic() - began

    for _ in range(count(2, many=10)):
        found = change_password_with_kill(killable_site, first, chance, longest)
        assert len(found) == 1, found
        [first.password] = found
        shown = first.run_json("show", "Mail", "--reveal")
        assert shown["detail"] == {"password": "hunter2"}

    other.done("login", "--changed", password=first.password)
    other.password = first.password
    assert other.run_json("show", "Mail", "--reveal")["detail"] == {"password": "hunter2"}
