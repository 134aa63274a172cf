"""A worker shows that it is alive, stops gracefully, and releases its jobs when killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.harness import app_fixtures
from tests.harness.gunicorn_server import ROOT, free_port
from tests.harness.metrics_scrape import jobs_done, scraped, total
from vaultr.database.session import db
from vaultr.health import heartbeat
from vaultr.ops import job_locks

IDLE_SECONDS = 2.0


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def probe(environ):
    command = [sys.executable, "-m", "vaultr.healthcheck", "--worker"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.fixture
def environ(url, tmp_path):
    port = str(free_port())
    return os.environ | app_fixtures.environ_for(
        tmp_path, DATABASE_URL=url, METRICS_PORT=port, LOG_LEVEL="INFO"
    )


@pytest.fixture
def app(environ):
    app = app_fixtures.built(environ)
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def worker(app, environ):
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]
    process = subprocess.Popen(
        command, env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.long
def test_worker_shows_liveness_and_ends_cleanly(worker, environ, tmp_path):
    assert probe(environ) in [(1, "no worker has started\n"), (0, "")]
    wait_for(lambda: probe(environ)[0] == 0)
    port = int(environ["METRICS_PORT"])

    wait_for(lambda: jobs_done(port) >= {"outbox", "measure", "sessions-purge"})
    samples = scraped(port)
    assert total(samples, "vaultr_job_seconds_count", task="outbox") >= 1
    assert total(samples, "vaultr_backup_age_seconds") == float("inf")

    worker.send_signal(signal.SIGTERM)
    output, _ = worker.communicate(timeout=60)

    assert worker.returncode == 0
    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert (events[0], events[-1]) == ("worker.start", "worker.stop")
    assert probe(environ) == (1, "no worker has started\n")


@pytest.mark.long
def test_worker_with_server_settings_names_the_port_to_set(environ):
    port = int(environ["METRICS_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        beside = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "worker"],
            env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: probe(environ)[0] == 0)
        beside.terminate()
        output, _ = beside.communicate(timeout=60)

    reported = {line["event"]: line for line in map(json.loads, output.splitlines())}
    assert beside.returncode == 0
    assert reported["metrics.off"]["level"] == "warning"
    assert reported["metrics.off"]["port"] == port
    assert f"`METRICS_PORT={port + 1} flask worker`" in reported["metrics.off"]["reason"]


@pytest.mark.long
def test_hanging_or_dead_worker_fails_its_probe(environ, tmp_path):
    heartbeat.touch(tmp_path)
    assert probe(environ) == (0, "")
    before = time.time() - heartbeat.DEAD_SECONDS - 5
    os.utime(tmp_path / heartbeat.NAME, (before, before))

    code, output = probe(environ)

    assert (code, output[:25]) == (1, "the worker was last seen ")


@pytest.mark.long
def test_worker_needs_no_writable_folder(app, environ):
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker", "--once"]
    environ = environ | {"VAULTR_HOME": "/proc/nowhere", "VAULTR_ENV": "production"}
    environ |= {"BASE_URL": "https://vault.example.org", "REDIS_URL": "redis://127.0.0.1:1/0"}
    environ |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": "1", "SMTP_SECURE": "none"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def holder(environ, hold_seconds, *, idle_seconds=IDLE_SECONDS):
    command = [sys.executable, "-m", "tests.harness.lock_holder", str(idle_seconds)]
    process = subprocess.Popen(
        [*command, str(hold_seconds)], env=environ, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def free(app):
    with app.app_context(), job_locks.job_lock("test") as ours:
        return ours


@pytest.mark.long
def test_running_worker_keeps_its_lock(app, environ):
    process = holder(environ, 5 * IDLE_SECONDS)
    until = time.monotonic() + 2 * IDLE_SECONDS

    while time.monotonic() < until:
        assert not free(app)
        time.sleep(0.1)

    assert process.communicate(timeout=60)[0] == "done\n"
    assert free(app)


def test_killed_worker_loses_its_lock_immediately(app, environ):
    process = holder(environ, 600, idle_seconds=600)
    process.kill()
    process.communicate()

    wait_for(lambda: free(app))


def test_paused_worker_loses_its_lock_without_harm(app, environ):
    process = holder(environ, 5)
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()

    wait_for(lambda: free(app))

    assert time.monotonic() - began > IDLE_SECONDS / 2
    process.send_signal(signal.SIGCONT)
    assert process.communicate(timeout=60)[0] == "done\n"
    assert process.returncode == 0
