"""Idempotency keys on several workers: duplicates, lost responses, a worker killed in between."""

import json
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psutil
import psycopg2
import pytest

from tests import factories
from tests.harness import app_fixtures, servers
from tests.harness.gunicorn_server import running
from tests.harness.threads import at_once
from vaultr.database.session import db
from vaultr.protocol.encoding import b64

VAULTS = "/api/v1/vaults"
WORKERS = "3"
PATIENCE_SECONDS = 30


class Site:
    """A server with several workers, and a session of Ann's."""

    def __init__(self, server, url):
        self.server, self.database = server, url
        app = app_fixtures.built(server.environ)
        with app.app_context():
            self.session = factories.session()
            db.engine.dispose()

    def request(self, vault, key):
        """Return a request as bytes."""
        body = json.dumps(vault).encode()
        head = [
            f"POST {VAULTS} HTTP/1.1", "Host: 127.0.0.1", "Connection: close",
            f"Authorization: Bearer {self.session.access_token}", f"Idempotency-Key: {key}",
            "Content-Type: application/json", f"Content-Length: {len(body)}", "", "",
        ]  # fmt: skip
        return "\r\n".join(head).encode() + body

    def post(self, vault, key):
        """Return status, whether it was a replay, and the body."""
        answer = self.server.raw(self.request(vault, key), finish=False)
        head, _, body = answer.partition(b"\r\n\r\n")
        status = int(head.split()[1]) if head else None
        return status, b"idempotency-replayed: true" in head.lower(), body

    def post_and_hang_up(self, vault, key):
        """Send a request, and disconnect before the response can arrive."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as connection:
            connection.sendall(self.request(vault, key))

    def rows(self, statement):
        with psycopg2.connect(self.database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def vaults(self):
        return self.rows("SELECT count(*) FROM vaults")[0][0]


@pytest.fixture(scope="module")
def site(postgres_url, redis_url, tmp_path_factory):
    url = servers.fresh_database(postgres_url)
    home = tmp_path_factory.mktemp("home")
    more = {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": WORKERS}
    more |= {"QUOTA_VAULTS": "10000", "LIMIT_WRITES": "100000/60", "LIMIT_READS": "100000/60"}
    with running(home, **more) as server:
        yield Site(server, url)


def new_vault():
    return {
        "id": str(uuid4()),
        "sealed_key": b64(factories.sealed(64)),
        "overview": b64(factories.sealed()),
    }


def test_worker_killed_in_change_leaves_neither_key_nor_change(site, count):
    """The worker is killed after it wrote the key's row, while it waits for the account's."""
    for _ in range(count(2, many=50)):
        vault, key, before = new_vault(), uuid4().hex, site.vaults()
        with psycopg2.connect(site.database) as holder, ThreadPoolExecutor(1) as pool:
            with holder.cursor() as cursor:
                cursor.execute("SELECT 1 FROM accounts FOR UPDATE")
            requested = pool.submit(site.post, vault, key)
            _kill(_worker_that_waits(site))
            assert requested.result()[0] is None
            holder.rollback()

        status, replayed, _ = site.post(vault, key)

        assert (status, replayed, site.vaults()) == (201, False, before + 1)


def test_parallel_duplicates_on_several_workers_run_once(site, count):
    for _ in range(count(10, many=200)):
        vault, key, before = new_vault(), uuid4().hex, site.vaults()

        answers = at_once(lambda _, vault=vault, key=key: site.post(vault, key), 6)

        assert {(status, body) for status, _, body in answers} == {(201, answers[0][2])}
        assert sorted(replayed for _, replayed, _ in answers) == [False] + 5 * [True]
        assert site.vaults() == before + 1


def test_lost_response_is_replayed(site, count):
    for _ in range(count(20, many=200)):
        vault, key, before = new_vault(), uuid4().hex, site.vaults()

        site.post_and_hang_up(vault, key)
        status, _, body = site.post(vault, key)

        assert (status, json.loads(body)["id"]) == (201, vault["id"])
        assert site.vaults() == before + 1
        assert site.post(vault, key) == (201, True, body)


def _worker_that_waits(site):
    """Find the worker whose transaction waits for a lock, by its client port."""
    waiting = (
        "SELECT client_port FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    until = time.monotonic() + PATIENCE_SECONDS
    while not (found := site.rows(waiting)):
        assert time.monotonic() < until, "no request waits"
    return next(
        worker.pid
        for worker in psutil.Process(site.server.process.pid).children()
        for one in worker.net_connections("inet")
        if one.laddr.port == found[0][0]
    )


def _kill(pid):
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=60)
