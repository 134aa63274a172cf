"""Guessing on a real server with four workers and a frozen Redis: five guesses are five."""

import json
import time
import urllib.error
import urllib.request
from uuid import uuid4

import psutil
import pytest

from tests.harness import servers
from tests.harness.gunicorn_server import free_port, running
from tests.harness.metrics_scrape import scraped, total
from tests.harness.threads import at_once

GUESSES, WORKERS, ALLOWED = 40, 4, 5


@pytest.fixture
def numbers():
    return free_port()


@pytest.fixture
def server(tmp_path, postgres_url, own_redis, numbers):
    url = servers.fresh_database(postgres_url)
    more = {"REDIS_URL": own_redis.url, "WEB_CONCURRENCY": str(WORKERS)}
    with running(tmp_path, DATABASE_URL=url, METRICS_PORT=str(numbers), **more) as server:
        yield server
    servers.drop_database(url)


def guess(server, email):
    body = {
        "email": email,
        "auth_key": "A" * 43,
        "device": {"id": str(uuid4()), "name": "x"},
    }
    request = urllib.request.Request(
        f"{server.url}/api/v1/auth/login",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def guesses_until_five(server, number, before):
    """Send many guesses in parallel; repeat those that the full queue rejected."""
    answers = at_once(lambda _: guess(server, "ann@example.org"), number)
    for _ in range(20):
        if (before + answers).count(401) >= ALLOWED:
            break
        answers += at_once(lambda _: guess(server, "ann@example.org"), number)
    return answers


def hashes(port):
    return total(scraped(port), "vaultr_hashes_total")


def test_forty_parallel_guesses_with_frozen_redis_hash_five_times(server, own_redis, numbers):
    before = hashes(numbers)
    own_redis.freeze()

    began = time.monotonic()
    answers = at_once(lambda _: guess(server, "ann@example.org"), GUESSES)
    took = time.monotonic() - began
    # Attempts that a full queue rejected were refunded, and can be repeated.
    answers += guesses_until_five(server, GUESSES // 2, answers)

    assert answers.count(401) == ALLOWED
    assert set(answers) <= {401, 429, 503}
    assert hashes(numbers) - before == ALLOWED
    assert took < 10
    assert len(server.logged("redis.away")) <= WORKERS
    assert total(scraped(numbers), "vaultr_redis_away") >= 1
    own_redis.thaw()


@pytest.mark.long
def test_restarted_worker_grants_no_new_guesses(server, own_redis, numbers):
    own_redis.freeze()
    answers = guesses_until_five(server, 10, [])
    assert answers.count(401) == ALLOWED
    before = hashes(numbers)

    workers = psutil.Process(server.process.pid).children()
    for worker in workers:
        worker.kill()
    psutil.wait_procs(workers, timeout=60)
    until = time.monotonic() + 60
    while not server.answers():
        assert time.monotonic() < until
        time.sleep(0.05)

    answers = at_once(lambda _: guess(server, "ann@example.org"), 10)
    assert set(answers) == {429}
    assert hashes(numbers) == before
    own_redis.thaw()
