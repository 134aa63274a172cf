"""Neither the work nor its order reveals whether an address has an account."""

import re
from contextlib import contextmanager
from uuid import UUID

import pytest

from tests import factories
from tests.harness.metric_values import hashes
from tests.harness.sql_recorder import collected
from vaultr.auth import password_hashing
from vaultr.database.session import transaction

# Each statement contains the request id.
REQUEST_ID = re.compile(r" /\*request_id='[^']*'\*/")


@contextmanager
def work_done(app):
    """Collect the statements that both engines run, and count the hashes."""
    statements, before = [], hashes()
    try:
        with collected(app) as ran:
            yield statements
    finally:
        statements += [REQUEST_ID.sub("", text) for text in ran]
        statements.append(hashes() - before)


SOME_ID = UUID(int=1)
REQUESTS = {
    "prelogin": lambda email: {"email": email},
    "login": lambda email: factories.login(email, key=b"w" * 32),
    "signup": factories.signup,
    "resend-verification": lambda email: {"email": email, "account_id": str(SOME_ID)},
    "recover": lambda email: {"email": email},
}
# Requests that compute a hash, like requests with an account.
HASHING = {"login", "signup"}


@pytest.mark.parametrize("route", REQUESTS)
def test_known_and_unknown_addresses_cause_the_same_work(app, client, route):
    with app.app_context(), transaction() as work:
        account = factories.account("ann@example.org")
        work.add(factories.recovery_key(account.id))
    done = []
    for email in ("warm@example.org", "ann@example.org", "bob@example.org"):
        with work_done(app) as statements:
            client.post(f"/api/v1/auth/{route}", json=REQUESTS[route](email))
        done.append(statements)

    _, known, unknown = done
    assert known == unknown
    assert len(known) > 1
    assert known[-1] == (1 if route in HASHING else 0)


def test_key_of_unknown_address_is_hashed_at_current_cost(app, client, monkeypatch):
    """An unknown key is checked at the current cost, in memory, passes and lanes."""
    checked, matches = [], password_hashing._matches
    monkeypatch.setattr(
        password_hashing, "_matches", lambda phc, proof: checked.append(phc) or matches(phc, proof)
    )
    with app.app_context():
        live = password_hashing.new_verifier(b"k" * 32).phc

    client.post("/api/v1/auth/login", json=factories.login("nobody@example.org"))

    [unknown] = checked
    assert [len(part) for part in unknown.split("$")] == [len(part) for part in live.split("$")]
    assert unknown.split("$")[:4] == live.split("$")[:4]


def test_resend_does_same_work_with_and_without_pending_signup(app, client):
    done = []
    for email in ("warm@example.org", "ann@example.org", "bob@example.org"):
        body = factories.signup(email)
        client.post("/api/v1/auth/signup", json=body)
        with work_done(app) as statements:
            named = body["account_id"] if email == "ann@example.org" else str(SOME_ID)
            which = {"email": email, "account_id": named}
            client.post("/api/v1/auth/resend-verification", json=which)
        done.append(statements)

    assert done[1] == done[2]


def test_account_without_recovery_key_causes_same_work_as_unknown_address(app, client):
    with app.app_context():
        factories.account("ann@example.org")
    done = []
    for email in ("warm@example.org", "ann@example.org", "bob@example.org"):
        with work_done(app) as statements:
            client.post("/api/v1/auth/recover", json={"email": email})
        done.append(statements)

    assert done[1] == done[2]
