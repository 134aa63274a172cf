"""A request has no effect after its session has ended, even if both run in parallel."""

import hashlib
import threading
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness.app_fixtures import empty
from tests.harness.key_replacement import new_keys
from vaultr.auth.models import Account, Session
from vaultr.database.session import db, transaction
from vaultr.protocol.encoding import b64

AUTH = "/api/v1/auth"
WAITS_SECONDS = 20


def recovery_key():
    verifier = hashlib.sha256(b"r" * 32).digest()
    return {"verifier": b64(verifier), "sealed": b64(factories.sealed(32)), "epoch": 1}


REQUESTED = {
    "delete": lambda client: client.delete(f"{AUTH}/account"),
    "address": lambda client: client.post(f"{AUTH}/email", json={"email": "x@example.org"}),
    "recovery key": lambda client: client.put(f"{AUTH}/recovery-key", json=recovery_key()),
    "no recovery key": lambda client: client.delete(f"{AUTH}/recovery-key"),
    "no recovery": lambda client: client.delete(f"{AUTH}/recover"),
    "factor": lambda client: client.post(f"{AUTH}/totp"),
    "no factor": lambda client: client.delete(f"{AUTH}/totp"),
    "codes": lambda client: client.post(f"{AUTH}/recovery-codes"),
    "credentials": lambda client: client.put(f"{AUTH}/credentials", json=new_keys(b"x" * 32)),
    "all out": lambda client: client.post(f"{AUTH}/logout-all"),
    "another out": lambda client: client.delete(f"{AUTH}/sessions/{uuid4()}"),
    "profile": lambda client: client.put(
        f"{AUTH}/profile",
        json={"revision": 2, "sealed": b64(factories.sealed(500))},
        headers={"If-Match": '"1"'},
    ),
}


def waits(app):
    """Check whether a connection waits for another's lock."""
    with app.app_context(), db.engine.connect() as connection:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return connection.execute(sa.text(waiting)).scalar_one() > 0


def while_it_waits(app, client, ask, change):
    """Make an authenticated request wait for the account, commit a change; return its status."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask(client).status_code))
    with app.app_context(), transaction() as work:
        mine = sa.select(Account.id).where(Account.id == client.account_id)
        work.execute(mine.with_for_update())
        thread.start()
        pause = threading.Event()
        for _ in range(WAITS_SECONDS * 50):
            if waits(app):
                break
            pause.wait(0.02)
        assert not answers
        work.execute(change)
    thread.join(WAITS_SECONDS)
    return answers[0]


@pytest.fixture
def app(postgres_app):
    """Only PostgreSQL, because on SQLite no request waits for a row after authentication."""
    empty(postgres_app)
    return postgres_app


@pytest.mark.parametrize("what", REQUESTED)
def test_waiting_request_of_ended_session_returns_401(app, as_ann, what):
    finished = sa.delete(Session).where(Session.account_id == as_ann.account_id)

    assert while_it_waits(app, as_ann, REQUESTED[what], finished) == 401

    with app.app_context(), transaction() as work:
        assert work.get(Account, as_ann.account_id).epoch == 1


@pytest.mark.parametrize("what", ["delete", "address", "recovery key", "no recovery", "factor"])
def test_waiting_request_of_old_epoch_returns_401(app, as_ann, what):
    mine = sa.update(Account).where(Account.id == as_ann.account_id)

    assert while_it_waits(app, as_ann, REQUESTED[what], mine.values(epoch=2)) == 401


def test_login_with_undone_address_opens_no_session(app, as_ann):
    """Undoing a change of address ends all sessions, so none may begin afterwards."""
    anonymous = app.test_client()
    anonymous.account_id = as_ann.account_id
    with app.app_context(), transaction() as work:
        email = work.get(Account, as_ann.account_id).email
    renamed = sa.update(Account).where(Account.id == as_ann.account_id)

    def sign_in(client):
        return client.post(f"{AUTH}/login", json=factories.login(email))

    assert while_it_waits(app, anonymous, sign_in, renamed.values(email="x@example.org")) == 401
