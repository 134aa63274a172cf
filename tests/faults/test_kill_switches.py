"""Every worker of a real server obeys a switch within five seconds, without a restart."""

import json
import time

import psutil
import pytest

from tests.harness import servers
from tests.harness.gunicorn_server import free_port, running
from tests.harness.metrics_scrape import scraped, total
from tests.harness.timing import until

SIGNUP = (
    b"POST /api/v1/auth/signup HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


@pytest.fixture
def server(tmp_path, postgres_url, redis_url):
    url = servers.fresh_database(postgres_url)
    more = {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": "3"}
    more |= {"LIMIT_SIGNUP": "100000/3600", "LIMIT_ANONYMOUS": "100000/60"}
    port = free_port()
    with running(tmp_path, METRICS_PORT=str(port), **more) as running_one:
        running_one.metrics_port = port
        yield running_one
    servers.drop_database(url)


def answers(server, times=30):
    """Return the responses to many requests, which reach all workers."""
    return {server.raw(SIGNUP).split(b" ")[1] for _ in range(times)}


def all_workers(server):
    """Return the ids of the three workers, after all were forked."""

    def found():
        return {one.pid for one in psutil.Process(server.process.pid).children()}

    until(lambda: len(found()) == 3)
    return found()


def after_five_seconds(server):
    """Return the responses when all workers agree, or after five seconds."""
    end = time.monotonic() + 5
    while len(answers(server)) > 1 and time.monotonic() < end:
        pass
    time.sleep(max(0.0, min(2.5, end - time.monotonic())))  # they may still agree on the old state
    return answers(server)


def test_every_worker_obeys_switch_within_five_seconds(server):
    workers = all_workers(server)
    assert answers(server) == {b"400"}

    assert server.command("ops", "switch", "signup", "off", "--by", "ann").returncode == 0
    assert after_five_seconds(server) == {b"503"}
    assert json.loads(server.get("/api/ready")[1])["switched_off"] == ["signup"]
    until(lambda: total(scraped(server.metrics_port), "vaultr_switched_off", switch="signup") == 1)

    assert server.command("ops", "switch", "signup", "on", "--by", "ann").returncode == 0
    assert after_five_seconds(server) == {b"400"}
    assert all_workers(server) == workers
