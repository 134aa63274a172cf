"""Behind the edge, rejected large bodies do not fail the requests of other users."""

import threading

import pytest

from tests.harness.threads import at_once
from tests.rollout.compose_processes import Site

ATTACKERS, USERS = 3, 5
PLENTY = "1000000/60"
PRELOGIN = "/api/v1/auth/prelogin"
LARGE = {"x": "x" * 300_000}
TOO_LARGE = {"x": "x" * 3_000_000}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unread")
    folder.chmod(0o755)
    with Site(folder) as site:
        site.start("app1", WEB_CONCURRENCY="2", WEB_THREADS="4", LIMIT_ANONYMOUS=PLENTY)
        site.https, _ = site.edge()
        yield site


def test_rejected_large_bodies_do_not_fail_other_requests(site, count):
    each, done = count(120, many=1000) // USERS, threading.Event()

    def post(path, body, method="POST"):
        return site.ask(site.https, path, method=method, body=body, scheme="https", timeout=60)[0]

    def attack():
        statuses = set()
        while not done.is_set():
            statuses.add(post("/api/v1/auth/profile", LARGE, "PUT"))
            statuses.add(post("/api/v1/nowhere", LARGE))
            statuses.add(post(PRELOGIN, TOO_LARGE))
        return statuses

    def use(number):
        emails = ({"email": f"user{number}-{turn}@example.org"} for turn in range(each))
        return [post(PRELOGIN, email) for email in emails]

    def do(number):
        if number < ATTACKERS:
            return attack()
        try:
            return use(number)
        finally:
            finished.append(number)
            if len(finished) == USERS:
                done.set()

    finished = []
    found = at_once(do, ATTACKERS + USERS)

    assert [status for part in found[ATTACKERS:] for status in part] == [200] * each * USERS
    assert set().union(*found[:ATTACKERS]) <= {401, 404, 413}
