"""Values that a request merely claims are never Redis keys, so the number of keys is bounded."""

import re
from uuid import uuid4

import pytest

from tests.harness import app_fixtures
from tests.harness.app_routes import routes
from vaultr.api.contract import contract_of
from vaultr.ratelimit import limiter

ROUNDS = 3
# Reads and writes by session and by account; hashes by account; requests and logins by client
# address; four routes with their own limit by client address.
MOST_KEYS = 4 + 1 + 2 + 4


def keys(app):
    with app.app_context():
        return set(limiter.current().redis.keys()) - {"vaultr:limit:probe"}


def with_random_ids(path):
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", lambda _: str(uuid4()), path)


@pytest.mark.parametrize("known", [True, False])
def test_requests_with_random_ids_add_no_counters(postgres_app, known):
    app_fixtures.empty(postgres_app)
    client = (
        app_fixtures.signed_in(postgres_app, "ann@example.org")
        if known
        else postgres_app.test_client()
    )
    ending = {"auth.logout", "auth.logout_all"}

    seen = []
    for _ in range(ROUNDS):
        for name, method, path, view in routes(postgres_app):
            if contract_of(view) is not None and name not in ending:
                body = {"id": str(uuid4()), "token": str(uuid4()), "device": {"id": str(uuid4())}}
                client.open(
                    with_random_ids(path),
                    method=method,
                    json=None if method == "GET" else body,
                    buffered=True,  # an archive is streamed from an open snapshot
                )
        seen.append(keys(postgres_app))

    assert seen[-1] - seen[0] == set()
    assert len(seen[-1]) <= MOST_KEYS
