"""Login and step-up with a second factor; each code works once."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import app_fixtures, outbox
from tests.harness.metric_values import hashes
from tests.harness.second_factors import confirmed
from tests.harness.threads import at_once
from vaultr.auth.models import Failures, Session
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

LOGIN, STEP_UP, ME = "/api/v1/auth/login", "/api/v1/auth/step-up", "/api/v1/auth/me"
WRONG = b"w" * 32


@pytest.fixture
def ann(app):
    """Ann's logged-in client; her account has a second factor."""
    client = app_fixtures.signed_in(app, "ann@example.org")
    client.phone, client.codes = confirmed(client)
    return client


def login(client, **more):
    return client.post(LOGIN, json=factories.login("ann@example.org", **more))


def prove(client, **more):
    body = {"auth_key": b64(factories.auth_key("ann@example.org")), **more}
    return client.post(STEP_UP, json=body)


def slug(response):
    return response.status_code, response.json["type"].rpartition(":")[2]


def denials(app, typ):
    return [(e["out"], e["sub"]) for e in factories.events(app) if e["typ"] == typ]


def left(client):
    return [one["left"] for one in client.get(ME).json["factors"]][-1]


def test_auth_key_without_second_factor_is_rejected(app, client, ann):
    response = login(client)

    assert slug(response) == (401, "second-factor-required")
    assert slug(prove(ann)) == (403, "second-factor-required")
    account = str(ann.account_id)
    assert denials(app, "auth.login.deny") == [("deny:second-factor-required", account)]
    assert denials(app, "auth.stepup.deny") == [("deny:second-factor-required", account)]


def test_login_without_code_uses_no_attempt(client, ann, count):
    assert {login(client).status_code for _ in range(count(6, many=25))} == {401}
    assert {prove(ann).status_code for _ in range(8)} == {403}

    assert login(client, totp=ann.phone.next_code()).status_code == 200


def test_totp_or_recovery_code_starts_a_session(client, ann):
    assert login(client, totp=ann.phone.code()).status_code == 200
    assert login(client, recovery_code=ann.codes[0]).status_code == 200
    assert prove(ann, recovery_code=ann.codes[1]).status_code == 204
    assert prove(ann, totp=ann.phone.next_code()).status_code == 204


def test_second_factor_is_revealed_only_to_the_right_key(client, ann):
    responses = [
        login(client, key=WRONG),
        login(client, key=WRONG, totp=ann.phone.code()),
        login(client, key=WRONG, recovery_code=ann.codes[0]),
        login(client, totp=ann.phone.wrong()),
    ]

    bodies = [{**one.json, "request_id": None} for one in responses]
    assert [one.status_code for one in responses] == [401] * 4
    assert all(body == bodies[0] for body in bodies)
    assert slug(responses[0]) == (401, "credentials-invalid")
    assert left(ann) == 10


@pytest.mark.parametrize(
    "factor",
    [
        {"totp": "wrong"},
        {"recovery_code": "0000-0000-0000-0000"},
        {"recovery_code": "x"},
        {"recovery_code": "\u00e9" * 64},
    ],
)
@pytest.mark.matrix(2)
def test_wrong_code_counts_like_a_wrong_key(app, client, ann, factor):
    provided = {"totp": ann.phone.wrong()} if factor.get("totp") else factor

    answers = [slug(login(client, **provided)) for _ in range(6)]
    proofs = [slug(prove(ann, **provided)) for _ in range(6)]

    assert answers == [(401, "credentials-invalid")] * 5 + [(429, "rate-limited")]
    assert proofs == [(403, "credentials-invalid")] * 5 + [(429, "rate-limited")]
    assert {out for out, _ in denials(app, "auth.login.deny")} == {"deny:wrong-code"}
    assert {out for out, _ in denials(app, "auth.stepup.deny")} == {"deny:wrong-code"}


def test_hundred_consecutive_wrong_codes_lock_login(app, client, ann, set_to, count):
    set_to(app, limit_login_account="1000/900", limit_login_address="1000/900")
    wrong = count(4, many=99)
    login(client, totp=ann.phone.wrong())
    with app.app_context(), transaction() as work:
        work.execute(sa.update(Failures).values(failures=100 - wrong))
    before = hashes()

    answers = [slug(login(client, totp=ann.phone.wrong())) for _ in range(wrong + 1)]

    assert answers == [(401, "credentials-invalid")] * wrong + [(429, "locked")]
    assert hashes() - before == wrong


def test_code_cannot_be_used_again_for_another_purpose(client, ann):
    code = ann.phone.code()
    assert login(client, totp=code).status_code == 200

    assert slug(login(client, totp=code)) == (401, "credentials-invalid")
    assert slug(prove(ann, totp=code)) == (403, "credentials-invalid")
    assert login(client, totp=ann.phone.next_code()).status_code == 200


def test_code_older_than_last_used_is_rejected(client, ann):
    assert login(client, totp=ann.phone.next_code()).status_code == 200

    assert slug(login(client, totp=ann.phone.code())) == (401, "credentials-invalid")


def test_code_that_confirmed_factor_cannot_be_reused(app, client):
    ann = app_fixtures.signed_in(app, "ann@example.org")
    phone, _ = confirmed(ann)

    assert slug(login(client, totp=phone.confirmed_by)) == (401, "credentials-invalid")


@pytest.mark.parametrize("at", ["login", "step-up", "both"])
def test_totp_code_works_once_in_parallel(app, ann, at):
    code = ann.phone.code()
    key = {"auth_key": b64(factories.auth_key("ann@example.org")), "totp": code}

    def use(number):
        client = app.test_client()
        if at == "login" or (at == "both" and number % 2):
            body = factories.login("ann@example.org", totp=code)
            return client.post(LOGIN, json=body).status_code
        return client.post(STEP_UP, json=key, headers=ann.session.headers).status_code

    statuses = at_once(use, 5)

    assert len([one for one in statuses if one in (200, 204)]) == 1
    assert {one for one in statuses if one not in (200, 204)} <= {401, 403}


def test_recovery_code_works_once_in_parallel(app, ann):
    body = factories.login("ann@example.org", recovery_code=ann.codes[3])

    statuses = at_once(lambda _: app.test_client().post(LOGIN, json=body).status_code, 5)

    assert sorted(statuses) == [200] + [401] * 4
    assert left(ann) == 9
    with app.app_context(), transaction() as work:
        assert work.query(Session).count() == 2


def test_recovery_code_use_is_counted_recorded_and_mailed(app, client, ann):
    spellings = [ann.codes[0].upper(), ann.codes[1].replace("-", ""), f" {ann.codes[2]} "]

    assert [login(client, recovery_code=one).status_code for one in spellings] == [200] * 3

    assert left(ann) == 7
    used = [e for e in factories.events(app) if e["out"] == "ok:used"]
    assert [(e["typ"], e["obj"]["left"]) for e in used] == [("factor.codes", n) for n in (9, 8, 7)]
    [email_message, *_] = [one for one in outbox.emails(app) if one.kind == "recovery-code-used"]
    assert email_message.notice
    assert "9 of ten are left" in email_message.text
    assert not any(code in email_message.text + email_message.html for code in ann.codes)


def test_failed_login_does_not_consume_recovery_code(app, client, ann, monkeypatch):
    monkeypatch.setattr("vaultr.auth.sessions.start_session", lambda *_: 1 / 0)
    assert login(client, recovery_code=ann.codes[0]).status_code == 500
    monkeypatch.undo()

    assert login(client, recovery_code=ann.codes[0]).status_code == 200


def test_recovery_code_of_another_account_is_rejected(app, client, ann):
    _, codes = confirmed(app_fixtures.signed_in(app, "bob@example.org"))

    assert slug(login(client, recovery_code=codes[0])) == (401, "credentials-invalid")


def test_both_factors_together_return_400_and_are_not_counted(client, ann):
    both = {"totp": ann.phone.code(), "recovery_code": ann.codes[0]}

    assert {login(client, **both).status_code for _ in range(6)} == {400}
    assert {prove(ann, **both).status_code for _ in range(6)} == {400}
    assert login(client, totp=ann.phone.code()).status_code == 200
    assert left(ann) == 10


def test_account_without_factor_ignores_codes(app, client):
    with app.app_context():
        factories.account("ann@example.org")

    assert login(client, totp="123456").status_code == 200
    assert login(client, recovery_code="any thing").status_code == 200


def test_login_needs_no_code_after_factor_is_removed(client, ann):
    prove(ann, totp=ann.phone.code())
    assert ann.delete("/api/v1/auth/totp").status_code == 204

    assert login(client).status_code == 200


def test_login_with_factor_keeps_device_known(client, ann):
    """A known device keeps its own counter after any success, with either factor."""
    mine = uuid4()
    assert login(client, recovery_code=ann.codes[0], device_id=mine).status_code == 200
    for _ in range(5):
        login(client, key=WRONG)

    assert login(client, recovery_code=ann.codes[1]).status_code == 429
    assert login(client, recovery_code=ann.codes[2], device_id=mine).status_code == 200
