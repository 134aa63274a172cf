from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from tests.harness.threads import at_once
from vaultr.auth import login_throttle, password_hashing, sessions
from vaultr.auth.models import Account, Session
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64
from vaultr.security.access_tokens import Claims

STEP_UP = "/api/v1/auth/step-up"


def proof(email="ann@example.org"):
    return {"auth_key": b64(factories.auth_key(email))}


WRONG = {"auth_key": b64(b"w" * 32)}


def fresh_until(app, session):
    with app.app_context():
        claims = Claims(session.account_id, session.id, 1, 0)
        return sessions.session_actor(claims).fresh_until


def test_login_counts_as_step_up_for_300_seconds(app, as_ann):
    left = fresh_until(app, as_ann.session) - datetime.now(UTC)

    assert timedelta(seconds=290) < left <= timedelta(seconds=300)


def test_step_up_counts_again_for_300_seconds(app, as_ann):
    with app.app_context():
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        factories.change_session(as_ann.session.id, proven_at=hour_ago)
    assert fresh_until(app, as_ann.session) < datetime.now(UTC)

    assert as_ann.post(STEP_UP, json=proof()).status_code == 204

    assert fresh_until(app, as_ann.session) > datetime.now(UTC) + timedelta(seconds=290)
    assert factories.events(app)[-1]["typ"] == "auth.stepup.ok"


def test_step_up_with_wrong_key_returns_403_without_effect(app, as_ann):
    before = fresh_until(app, as_ann.session)

    response = as_ann.post(STEP_UP, json=WRONG)

    assert response.status_code == 403
    assert response.json["type"] == "urn:vaultr:problem:credentials-invalid"
    assert fresh_until(app, as_ann.session) == before
    event = factories.events(app)[-1]
    assert (event["typ"], event["sub"]) == ("auth.stepup.deny", str(as_ann.account_id))
    assert event["sid"] == str(as_ann.session.id)


def change_after_call(monkeypatch, module, name, change):
    """Run ``change`` in a separate transaction after each call of a function."""
    real = getattr(module, name)

    def call(*arguments, **options):
        answer = real(*arguments, **options)
        with transaction() as work:
            change(work)
        return answer

    monkeypatch.setattr(module, name, call)


def test_session_ended_during_key_check_gets_no_step_up(app, as_ann, monkeypatch):
    change_after_call(
        monkeypatch, password_hashing, "verify", lambda work: work.query(Session).delete()
    )

    assert as_ann.post(STEP_UP, json=proof()).status_code == 401

    assert "auth.stepup.ok" not in {one["typ"] for one in factories.events(app)}


def test_credentials_changed_before_the_check_reject_step_up(app, as_ann, monkeypatch):
    """They were changed after the request was authenticated, and before the key was read."""
    change_after_call(
        monkeypatch,
        login_throttle,
        "session_counter",
        lambda work: work.query(Account).update({"epoch": 2}),
    )

    response = as_ann.post(STEP_UP, json=proof())

    assert (response.status_code, response.json["type"]) == (
        403,
        "urn:vaultr:problem:credentials-invalid",
    )
    assert "auth.stepup.ok" not in {one["typ"] for one in factories.events(app)}


def test_auth_key_of_another_account_is_rejected(as_ann, as_bob):
    assert as_ann.post(STEP_UP, json=proof("bob@example.org")).status_code == 403


def test_parallel_step_ups_are_checked_up_to_the_limit(app, as_ann):
    def guess(_):
        client = app.test_client()
        return client.post(STEP_UP, json=WRONG, headers=as_ann.session.headers).status_code

    assert sorted(at_once(guess, 8)) == [403] * 5 + [429] * 3


def test_failed_logins_consume_no_step_up_attempts(client, as_ann):
    for _ in range(6):
        client.post("/api/v1/auth/login", json=factories.login(key=b"w" * 32))

    assert as_ann.post(STEP_UP, json=proof()).status_code == 204


def test_step_up_limit_counts_each_session_separately(app, as_ann):
    with app.app_context():
        other = factories.session()
    for _ in range(6):
        as_ann.post(STEP_UP, json=WRONG)

    headers = other.headers
    response = app.test_client().post(STEP_UP, json=proof(), headers=headers)

    assert response.status_code == 204


@pytest.mark.parametrize("body", [{}, {"auth_key": "x"}, proof() | {"totp": "1"}])
def test_malformed_auth_key_is_not_an_attempt(as_ann, body):
    for _ in range(6):
        assert as_ann.post(STEP_UP, json=body).status_code == 400

    assert as_ann.post(STEP_UP, json=proof()).status_code == 204


def test_credentials_changed_during_hashing_reject_step_up(app, as_ann, monkeypatch):
    verify = password_hashing.verify

    def change_during_check(*provided, **options):
        verdict = verify(*provided, **options)
        with transaction() as work:
            work.get(Account, as_ann.account_id).epoch = 2
        return verdict

    monkeypatch.setattr(password_hashing, "verify", change_during_check)

    assert as_ann.post(STEP_UP, json=proof()).status_code == 403
