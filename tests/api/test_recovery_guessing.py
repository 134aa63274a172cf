"""Emailed tokens and recovery keys cannot be guessed, and attempts reveal nothing."""

import secrets

import pytest

from tests import factories
from tests.harness.account_recovery import (
    ANN,
    COMPLETE,
    RECOVER,
    START,
    after_the_wait,
    begun,
    completion,
    mailed,
    proof,
    requested,
    tokens_left,
    with_recovery_key,
)
from tests.harness.outbox import emails, tokens
from vaultr.auth.models import Recovery
from vaultr.auth.recovery import tokens as recovery_tokens
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

BOB = "bob@example.org"


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def rejected(app, body):
    response = app.test_client().post(START, json=body)
    return (response.status_code, slug(response)) == (400, "token-invalid")


def test_response_is_identical_and_only_owner_gets_email(app, client):
    with_recovery_key(app, ANN)
    with app.app_context():
        factories.account(BOB)

    answers = [
        client.post(RECOVER, json={"email": email}) for email in (ANN, BOB, "nobody@example.org")
    ]

    assert {(one.status_code, one.data) for one in answers} == {(202, b"")}
    assert [one.kind for one in emails(app, ANN)] == ["recover"]
    assert [one.kind for one in emails(app, BOB)] == ["recover-impossible"]
    assert emails(app, "nobody@example.org") == []
    assert tokens_left(app) == 1


def test_email_has_token_on_own_line_and_no_link(app):
    with_recovery_key(app)
    token = requested(app)

    (email_message,) = emails(app, ANN)
    assert f"\n{token}\n" in email_message.text
    assert "http" not in email_message.text
    assert token not in email_message.subject
    assert not token.startswith("-")


def test_earlier_emailed_token_stays_valid(app, client):
    account_id = with_recovery_key(app)
    first, second = requested(app), requested(app)

    assert client.post(START, json=proof(first, account_id)).status_code == 200
    assert client.post(START, json=proof(second, account_id)).status_code == 200


def test_request_over_email_limit_creates_no_token(app, client, set_to):
    set_to(app, limit_mail="2/3600")
    with_recovery_key(app)

    answers = [client.post(RECOVER, json={"email": ANN}).status_code for _ in range(4)]

    assert answers == [202] * 4
    assert len(mailed(app)) == tokens_left(app) == 2


def test_recovery_requests_are_limited_by_client_address(app, client, set_to):
    set_to(app, limit_signup="3/3600")

    answers = [client.post(RECOVER, json={"email": f"{n}@example.org"}) for n in range(5)]

    assert [one.status_code for one in answers] == [202] * 3 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_token_expires_after_72_hours(app, time_machine):
    account_id = with_recovery_key(app)
    token = requested(app)

    after_the_wait(time_machine, hours=72)

    assert rejected(app, proof(token, account_id))
    with app.app_context():
        assert recovery_tokens.remove_expired() is False
        with transaction() as work:
            assert work.query(Recovery).count() == 0


def test_wrong_token_and_wrong_key_get_same_error(app, client, set_to):
    set_to(app, limit_login_address="100/900")
    account_id, token = begun(app)
    theirs = with_recovery_key(app, BOB)
    of_bob = requested(app, BOB)
    client.post("/api/v1/auth/signup", json=factories.signup("new@example.org"))
    (of_a_signup,) = tokens(app, "new@example.org")
    with app.app_context():
        session = factories.session()

    wrong_tokens = [
        "", "x", token[:-1], token + "A", token.swapcase(), b64(secrets.token_bytes(32)),
        of_a_signup, session.refresh_token, session.access_token, "é" * 43,
    ]  # fmt: skip
    assert all(rejected(app, proof(one, account_id)) for one in wrong_tokens)
    assert rejected(app, proof(of_bob, account_id))
    assert rejected(app, proof(token, theirs))
    assert rejected(app, {"token": token, "rk_auth": b64(b"w" * 32)})
    assert client.post(START, json=proof(token, account_id)).status_code == 200


def test_wrong_completion_gets_same_error_as_wrong_start(app, client, time_machine):
    account_id, token = begun(app)
    after_the_wait(time_machine)
    good = completion(app, token, account_id)

    answers = [
        client.post(COMPLETE, json=good | change)
        for change in ({"token": token[:-1]}, {"rk_auth": b64(b"w" * 32)})
    ]

    assert {(one.status_code, slug(one)) for one in answers} == {(400, "token-invalid")}
    assert client.post(COMPLETE, json=good).status_code == 204
    assert client.post(COMPLETE, json=good).status_code == 400


def test_recovery_key_allows_five_guesses_per_quarter_hour(app, client):
    account_id, token = begun(app)
    wrong = {"token": token, "rk_auth": b64(b"w" * 32)}

    answers = [client.post(START, json=wrong).status_code for _ in range(6)]

    assert answers == [400] * 5 + [429]
    assert client.post(START, json=proof(token, account_id)).status_code == 429
    denied = [event for event in factories.events(app) if event["out"] == "deny:wrong-key"]
    assert [event["typ"] for event in denied] == ["cred.recover.start"] * 5
    assert {event["sub"] for event in denied} == {str(account_id)}


def test_anonymous_login_failures_do_not_block_recovery(app, client):
    account_id, token = begun(app)
    for _ in range(5):
        client.post("/api/v1/auth/login", json=factories.login(ANN, key=b"w" * 32))

    assert client.post("/api/v1/auth/login", json=factories.login(ANN)).status_code == 429
    assert client.post(START, json=proof(token, account_id)).status_code == 200


def test_guessed_tokens_consume_no_attempts_of_the_account(app, client, set_to):
    set_to(app, limit_login_address="20/900")
    account_id, token = begun(app)
    strange = {"REMOTE_ADDR": "198.51.100.7"}

    answers = [
        client.post(START, json=proof(f"{n}" * 43, account_id), environ_base=strange).status_code
        for n in range(21)
    ]

    assert set(answers[:20]) == {400}
    assert answers[20] == 429
    assert client.post(START, json=proof(token, account_id)).status_code == 200


@pytest.mark.parametrize("body", [{}, {"token": "x"}, {"token": 1, "rk_auth": "x"}, [], "x"])
def test_malformed_recovery_proof_is_not_a_guess(app, client, body):
    account_id, token = begun(app)

    for _ in range(6):
        assert client.post(START, json=body).status_code == 400

    assert client.post(START, json=proof(token, account_id)).status_code == 200
