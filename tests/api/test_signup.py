import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests import factories
from tests.harness.outbox import emails, tokens
from tests.harness.threads import at_once
from vaultr.auth.models import Account, KeySet, RecoveryKey, WaitingSignup
from vaultr.auth.password_hashing import verify
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64, unb64

pytestmark = pytest.mark.both_databases
SIGNUP, VERIFY = "/api/v1/auth/signup", "/api/v1/auth/verify-email"


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def confirm(client, token):
    return client.post(VERIFY, json={"token": token})


def test_confirmed_signup_creates_account_that_can_log_in(app, client):
    body = factories.signup("ann@example.org")

    assert client.post(SIGNUP, json=body).status_code == 202
    (token,) = tokens(app)
    assert confirm(client, token).status_code == 204

    signed_in = client.post("/api/v1/auth/login", json=factories.login("ann@example.org"))
    assert signed_in.status_code == 200
    assert signed_in.json["account"]["id"] == body["account_id"]
    assert signed_in.json["key_set"] == {
        "account_key": body["account_key"],
        "identity": body["identity"],
        "profile": body["profile"],
    }


def test_signup_response_is_empty(client):
    response = client.post(SIGNUP, json=factories.signup())

    assert (response.status_code, response.data) == (202, b"")


def test_pending_signup_creates_no_account(app, client):
    body = factories.signup()
    client.post(SIGNUP, json=body)

    inputs = client.post("/api/v1/auth/prelogin", json={"email": "ann@example.org"}).json
    login = client.post("/api/v1/auth/login", json=factories.login())

    assert inputs["account_id"] != body["account_id"]
    assert (login.status_code, rows(app, Account)) == (401, [])


def test_email_shows_code_and_link_on_own_line(app, client):
    body = factories.signup("ann@example.org")
    client.post(SIGNUP, json=body)

    (email_message,) = emails(app, "ann@example.org")
    code = hashlib.sha256(UUID(body["account_id"]).bytes).hexdigest()[:8]
    (token,) = tokens(app)
    assert code in email_message.text
    assert code in email_message.html
    assert f"\nhttp://localhost/verify-email?token={token}\n" in email_message.text
    assert f'href="http://localhost/verify-email?token={token}"' in email_message.html
    assert token not in email_message.subject
    assert "ann" not in email_message.subject


def test_token_is_stored_hashed_and_key_slowly_hashed(app, client, full_hash_cost):
    client.post(SIGNUP, json=factories.signup())

    (waiting,) = rows(app, WaitingSignup)
    (token,) = tokens(app)
    assert waiting.token_hash == hashlib.sha256(token.encode()).digest()
    assert waiting.verifier.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert b64(factories.auth_key("ann@example.org")) not in waiting.verifier


@pytest.mark.parametrize(
    "value", [" Ann@Example.ORG ", "\uff41\uff4e\uff4e@example.org", "ANN@EXAMPLE.ORG"]
)
def test_spellings_of_one_address_are_one_account(app, client, value):
    client.post(SIGNUP, json=factories.signup("ann@example.org"))
    confirm(client, tokens(app)[0])

    client.post(SIGNUP, json=factories.signup(value))

    assert emails(app)[-1].kind == "existing-owner"
    assert len(rows(app, Account)) == 1


def test_existing_owner_gets_notice_with_same_response(app, client):
    with app.app_context():
        factories.account("ann@example.org")

    known = client.post(SIGNUP, json=factories.signup("ann@example.org"))
    unknown = client.post(SIGNUP, json=factories.signup("bob@example.org"))

    assert (known.status_code, known.data) == (unknown.status_code, unknown.data)
    differing = {"X-Request-Id", "RateLimit-Remaining", "RateLimit-Reset", "Date"}
    assert {n: v for n, v in known.headers if n not in differing} == {
        n: v for n, v in unknown.headers if n not in differing
    }
    assert [one.kind for one in emails(app, "ann@example.org")] == ["existing-owner"]
    assert [one.kind for one in emails(app, "bob@example.org")] == ["verify-email"]


def test_signup_with_used_account_id_creates_nothing(app, client):
    with app.app_context():
        theirs = factories.account("bob@example.org").id

    response = client.post(SIGNUP, json=factories.signup(account_id=str(theirs)))

    assert (response.status_code, emails(app), rows(app, WaitingSignup)) == (202, [], [])


def test_signup_with_decoy_account_id_creates_nothing(app, client):
    """Otherwise a signup with the id from prelogin would reveal whether the address is used."""
    shown = client.post("/api/v1/auth/prelogin", json={"email": "nobody@example.org"}).json

    response = client.post(SIGNUP, json=factories.signup(account_id=shown["account_id"]))

    assert (response.status_code, emails(app), rows(app, WaitingSignup)) == (202, [], [])


def test_account_id_taken_before_confirmation_creates_no_account(app, client):
    shared = str(uuid4())
    client.post(SIGNUP, json=factories.signup("ann@example.org", account_id=shared))
    client.post(SIGNUP, json=factories.signup("bob@example.org", account_id=shared))
    of_ann, of_bob = tokens(app)

    statuses = [confirm(client, token).status_code for token in (of_bob, of_ann)]

    assert statuses == [204, 400]
    assert [one.email for one in rows(app, Account)] == ["bob@example.org"]


def test_five_signups_wait_per_address_and_sixth_replaces_oldest(app, client, set_to):
    set_to(app, limit_mail="50/3600")
    for _ in range(6):
        client.post(SIGNUP, json=factories.signup())

    received = tokens(app)
    assert len(rows(app, WaitingSignup)) == 5
    assert confirm(client, received[0]).json["type"] == "urn:vaultr:problem:token-invalid"
    assert confirm(client, received[5]).status_code == 204


def test_signups_over_email_limit_keep_pending_signups_valid(app, client, set_to):
    set_to(app, limit_mail="2/3600")
    bodies = [factories.signup() for _ in range(9)]
    for body in bodies:
        client.post(SIGNUP, json=body)

    received = tokens(app)
    assert (len(received), len(rows(app, WaitingSignup))) == (2, 5)
    assert confirm(client, received[0]).status_code == 204
    assert [str(one.id) for one in rows(app, Account)] == [bodies[0]["account_id"]]


def test_first_confirmed_signup_invalidates_the_others(app, client):
    bodies = [factories.signup() for _ in range(3)]
    for body in bodies:
        client.post(SIGNUP, json=body)
    first, second, third = tokens(app)

    assert confirm(client, second).status_code == 204

    assert [confirm(client, token).status_code for token in (first, second, third)] == [400] * 3
    assert [str(one.id) for one in rows(app, Account)] == [bodies[1]["account_id"]]
    assert rows(app, WaitingSignup) == []


def test_token_used_in_parallel_creates_one_account(app, client):
    client.post(SIGNUP, json=factories.signup())
    (token,) = tokens(app)

    statuses = at_once(lambda _: confirm(app.test_client(), token).status_code, 8)

    assert sorted(statuses) == [204] + [400] * 7
    assert len(rows(app, Account)) == len(rows(app, KeySet)) == 1


def test_several_signups_confirmed_in_parallel_create_one_account(app, client):
    for _ in range(4):
        client.post(SIGNUP, json=factories.signup())
    received = tokens(app)

    statuses = at_once(lambda n: confirm(app.test_client(), received[n]).status_code, 4)

    assert sorted(statuses) == [204] + [400] * 3
    assert len(rows(app, Account)) == 1


@pytest.mark.parametrize("token", ["", "nonsense", "A" * 43, "x" * 5000, "-", "é"])
def test_wrong_token_returns_token_invalid(client, token):
    response = confirm(client, token)

    assert response.status_code == 400
    assert response.json["type"] == "urn:vaultr:problem:token-invalid"


def test_signup_expires_after_24_hours(app, client, time_machine):
    client.post(SIGNUP, json=factories.signup())
    (token,) = tokens(app)

    time_machine.move_to(datetime.now(UTC) + timedelta(hours=24, seconds=1))

    assert confirm(client, token).json["type"] == "urn:vaultr:problem:token-invalid"
    assert rows(app, Account) == []


def test_confirmed_signup_stores_its_recovery_key(app, client):
    recovery_key = {"verifier": b64(b"v" * 32), "sealed": b64(factories.sealed(32)), "epoch": 1}
    client.post(SIGNUP, json=factories.signup(recovery_key=recovery_key))

    confirm(client, tokens(app)[0])

    (stored,) = rows(app, RecoveryKey)
    assert (stored.verifier, stored.sealed) == (b"v" * 32, unb64(recovery_key["sealed"]))


def test_account_creation_is_recorded_with_published_keys(app, client):
    body = factories.signup()
    client.post(SIGNUP, json=body)
    confirm(client, tokens(app)[0])

    made, published = [e for e in factories.events(app) if e["sub"] == body["account_id"]]
    assert (made["typ"], published["typ"]) == ("account.create", "key.publish")
    assert published["obj"]["x25519"] == body["identity"]["x25519"]["public"]
    assert published["obj"]["ed25519"] == body["identity"]["ed25519"]["public"]


def test_stored_verifier_accepts_only_the_signup_key(app, client):
    client.post(SIGNUP, json=factories.signup())
    confirm(client, tokens(app)[0])

    (account,) = rows(app, Account)
    with app.app_context():
        stored = factories.verifier_of(account)
        assert verify(factories.auth_key("ann@example.org"), stored).right
        assert not verify(b"w" * 32, stored).right
