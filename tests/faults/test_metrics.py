"""`/metrics` of a real server: the sum of all workers, including killed ones."""

import contextlib
import fcntl
import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.harness import servers
from tests.harness.gunicorn_server import free_port, running
from tests.harness.metric_queries import names_in, queries
from tests.harness.metrics_scrape import names_of, scraped, total
from tests.harness.threads import at_once
from tests.harness.timing import quickest
from vaultr.observability import metrics, multiprocess_dir

DOCUMENT = "/api/v1/openapi.json"
MEMORY = Path("/dev/shm")


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory, postgres_url, redis_url, port):
    """Three workers on PostgreSQL and Redis, with a metrics port."""
    url = servers.fresh_database(postgres_url)
    more = {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": "3"}
    with running(tmp_path_factory.mktemp("numbers"), METRICS_PORT=str(port), **more) as running_one:
        yield running_one
    servers.drop_database(url)


def answers(port):
    return total(scraped(port), "vaultr_requests_total", route=DOCUMENT, status="200")


def folders():
    return {one.name for one in MEMORY.glob(f"{multiprocess_dir.PREFIX}*")}


@pytest.mark.long
def test_response_is_counted_once_by_any_worker(server, port):
    before = answers(port)

    got = at_once(lambda _: [server.get(DOCUMENT)[0] for _ in range(10)], 8)

    assert got == [[200] * 10] * 8
    assert answers(port) == before + 80
    seconds = total(scraped(port), "vaultr_request_seconds_count", route=DOCUMENT)
    assert seconds == before + 80


def test_metrics_of_killed_worker_remain_and_its_files_are_removed(server, port):
    at_once(lambda _: server.get(DOCUMENT), 8)
    before, master = answers(port), psutil.Process(server.process.pid)
    [folder] = [one for one in folders() if str(one) in open_files(master)]

    for _ in range(3):
        killed = master.children()[0]
        killed.kill()
        wait_for(lambda killed=killed: killed not in master.children())
        wait_for(lambda: len(master.children()) == 3)
        assert answers(port) == before

    files = list((MEMORY / folder).glob("*.db"))
    living = {str(one.pid) for one in [master, *master.children()]}
    assert {one.stem.rpartition("_")[2] for one in files} <= living | {"gone"}
    server.get(DOCUMENT)
    assert answers(port) == before + 1


@pytest.mark.long
def test_empty_metrics_file_breaks_no_scrape(server, port):
    [folder] = [
        one for one in folders() if str(one) in open_files(psutil.Process(server.process.pid))
    ]
    empty = MEMORY / folder / "counter_999999999.db"
    empty.touch()

    assert answers(port) > 0
    empty.unlink()


def open_files(process):
    return " ".join(one.path for one in process.open_files())


@pytest.mark.long
def test_metrics_port_responds_while_all_threads_are_busy(time_limit, server, port):
    held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3 * 16)]
    for one in held:
        one.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nContent-Length: 9\r\n\r\n")

    assert quickest(lambda: scraped(port), within=time_limit(2)) < time_limit(2)
    for one in held:
        one.close()


@pytest.mark.parametrize("path", ["/", "/api/health", "/metrics/..", "/api/v1/auth/me"])
def test_metrics_port_serves_only_metrics(server, port, path):
    with pytest.raises(urllib.error.HTTPError) as rejected:
        scraped(port, path)

    with rejected.value as answer:
        assert (answer.code, answer.read()) == (404, b"only /metrics is here\n")


def test_api_port_serves_no_metrics(server):
    assert server.get("/metrics")[0] == 404


@pytest.mark.long
def test_metrics_accept_head_and_query(server, port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("HEAD", "/metrics?module=x")
        answer = connection.getresponse()

        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.long
def test_silent_connection_blocks_no_other(server, port):
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]

    assert answers(port) > 0
    for one in silent:
        one.close()


def test_requests_create_no_undocumented_metric_series(server, port):
    for number in range(150):
        server.get(f"/api/v1/nowhere/{number}")
        server.get(f"/api/v1/vaults/00000000-0000-4000-8000-{number:012}")
        server.raw(f"VERB{number} /api/v1/x HTTP/1.1\r\nHost: {number}.example\r\n\r\n".encode())

    samples = scraped(port)

    assert len(samples) < 1000
    assert {dict(labels).get("method", "GET") for _, labels in samples} <= {"GET", "POST", "other"}
    assert all("0000" not in str(labels) and "nowhere" not in str(labels) for _, labels in samples)


@pytest.mark.long
def test_metric_series_stay_below_the_stated_number():
    assert sum(one.series for one in metrics.all_metrics()) < metrics.MOST_SERIES


@pytest.mark.long
def test_taken_metrics_port_is_reported_and_server_stops(server, port, tmp_path):
    with pytest.raises(RuntimeError) as error, running(tmp_path, METRICS_PORT=str(port)):
        pass

    assert (
        f"METRICS_PORT: cannot listen on 127.0.0.1:{port}: Address already in use: another process "
        f"uses it; on the server's machine start `METRICS_PORT={port + 1} flask worker`"
    ) in str(error.value)
    assert "Traceback" not in str(error.value)


@pytest.mark.long
def test_server_leaves_no_files_and_removes_those_of_killed_one(tmp_path):
    mine = free_port()
    left = MEMORY / f"{multiprocess_dir.PREFIX}left-behind"
    left.mkdir(mode=0o700)
    (left / "alive").touch()
    theirs = MEMORY / f"{multiprocess_dir.PREFIX}of-one-that-lives"
    theirs.mkdir(mode=0o700)
    alive = os.open(theirs / "alive", os.O_RDWR | os.O_CREAT)
    fcntl.flock(alive, fcntl.LOCK_EX)
    before = folders()

    with running(tmp_path, METRICS_PORT=str(mine)) as one:
        assert left.name not in folders()
        assert theirs.name in folders()
        [made] = folders() - before
        one.stop()

    assert made not in folders()
    os.close(alive)
    multiprocess_dir.remove_stale(MEMORY)
    assert not theirs.exists()


@pytest.mark.long
def test_server_without_metrics_port_creates_no_files(tmp_path):
    before = folders()
    with running(tmp_path) as one:
        assert one.answers()
        assert folders() == before


@pytest.mark.long
def test_every_alert_and_dashboard_query_finds_existing_metrics(tmp_path):
    port = free_port()
    with running(tmp_path, METRICS_PORT=str(port), BACKGROUND="inline") as one:
        one.get(DOCUMENT)
        one.get("/api/v1/vaults")
        one.get("/api/ready")
        requested = set().union(*map(names_in, queries().values()))
        # A metric whose labels were not used yet has no samples, but is announced.
        wait_for(lambda: requested <= shown(port))


def shown(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return names_of(answer.read().decode())


@pytest.mark.long
def test_statsd_receives_metrics_and_its_outage_fails_no_request(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(60)
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        with running(tmp_path, DATADOG_HOST=where) as one:
            one.get(DOCUMENT)
            one.get("/api/v1/vaults")
            wanted, heard = {
                b"vaultr.api.problems.unauthenticated:1|c",
                b"vaultr.openapi.openapi.duration:",
                b"vaultr.requests.GET.api_v1_vaults.401:1|c",
            }, b""  # fmt: skip
            while not all(one in heard for one in wanted):
                heard += listener.recv(65536) + b"\n"

    with running(tmp_path, STATSD_HOST="no-such-host.invalid") as one:

        def ask():
            assert [one.get(DOCUMENT)[0] for _ in range(20)] == [200] * 20

        assert quickest(ask, within=5) < 5
