"""The email of a waiting signup can be requested again, and several signups can wait."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests import factories
from tests.harness.outbox import emails, tokens
from tests.harness.threads import at_once
from vaultr.auth.models import Account, WaitingSignup
from vaultr.database.session import transaction

SIGNUP, VERIFY = "/api/v1/auth/signup", "/api/v1/auth/verify-email"
RESEND = "/api/v1/auth/resend-verification"
ANN = "ann@example.org"


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def sign_up(client):
    body = factories.signup(ANN)
    assert client.post(SIGNUP, json=body).status_code == 202
    return {"email": ANN, "account_id": body["account_id"]}


def confirm(client, token):
    return client.post(VERIFY, json={"token": token}).status_code


def test_new_token_is_mailed_and_old_one_invalid(app, client):
    which = sign_up(client)

    response = client.post(RESEND, json=which)

    assert (response.status_code, response.data) == (202, b"")
    old, new = tokens(app, ANN)
    assert confirm(client, old) == 400
    assert confirm(client, new) == 204
    assert [str(one.id) for one in rows(app, Account)] == [which["account_id"]]


def test_resend_renews_only_the_named_signup(app, client):
    first, second = sign_up(client), sign_up(client)

    client.post(RESEND, json=second)

    of_first, of_second, renewed = tokens(app, ANN)
    assert confirm(client, of_second) == 400
    assert len(rows(app, WaitingSignup)) == 2
    assert confirm(client, of_first) == 204
    assert [str(one.id) for one in rows(app, Account)] == [first["account_id"]]
    assert confirm(client, renewed) == 400


def test_resend_restarts_the_24_hours(app, client, time_machine):
    which, began = sign_up(client), datetime.now(UTC)
    time_machine.move_to(began + timedelta(hours=20))
    client.post(RESEND, json=which)

    time_machine.move_to(began + timedelta(hours=43))

    assert confirm(client, tokens(app, ANN)[-1]) == 204


@pytest.mark.parametrize("spelt", [" Ann@Example.org ", "ANN@EXAMPLE.ORG"])
def test_resend_accepts_other_spelling_of_address(app, client, spelt):
    which = sign_up(client)

    client.post(RESEND, json=which | {"email": spelt})

    assert len(tokens(app, ANN)) == 2


def expired(app, client, which, time_machine):
    time_machine.move_to(datetime.now(UTC) + timedelta(hours=25))
    return which


def of_another_address(app, client, which, time_machine):
    return which | {"email": "bob@example.org"}


def of_another_id(app, client, which, time_machine):
    return which | {"account_id": str(uuid4())}


def confirmed_already(app, client, which, time_machine):
    assert confirm(client, tokens(app, ANN)[0]) == 204
    return which


@pytest.mark.parametrize(
    "case",
    [expired, of_another_address, of_another_id, confirmed_already],
    ids=lambda one: one.__name__,
)
def test_resend_without_signup_responds_identically_and_sends_nothing(
    app, client, time_machine, case
):
    requested = case(app, client, sign_up(client), time_machine)
    before = len(emails(app))
    stored = {row.token_hash for row in rows(app, WaitingSignup)}

    response = client.post(RESEND, json=requested)

    assert (response.status_code, response.data) == (202, b"")
    assert len(emails(app)) == before
    assert {row.token_hash for row in rows(app, WaitingSignup)} == stored


def test_resend_over_email_limit_keeps_last_token_valid(app, client, set_to):
    set_to(app, limit_mail="2/3600")
    which = sign_up(client)
    client.post(RESEND, json=which)

    assert client.post(RESEND, json=which).status_code == 202

    assert len(tokens(app, ANN)) == 2
    assert confirm(client, tokens(app, ANN)[-1]) == 204


def test_parallel_resend_and_confirmation_leave_one_account(app, client):
    which = sign_up(client)
    (token,) = tokens(app, ANN)

    def do(number):
        own = app.test_client()
        if number % 2:
            return own.post(RESEND, json=which).status_code
        return own.post(VERIFY, json={"token": token}).status_code

    resent, confirmed = [], []
    for number, status in enumerate(at_once(do, 4)):
        (resent if number % 2 else confirmed).append(status)
    assert set(resent) == {202}
    assert confirmed.count(204) <= 1
    if 204 not in confirmed:  # the resends came first, so the last emailed token counts
        good = [confirm(client, one) for one in tokens(app, ANN)[1:]]
        assert sorted(good) == [204] + [400] * (len(good) - 1)
    assert len(rows(app, Account)) == 1
    assert rows(app, WaitingSignup) == []


def test_sixth_pending_signup_replaces_the_oldest(app, client, set_to):
    set_to(app, limit_mail="10/3600")
    waiting = [sign_up(client) for _ in range(6)]

    stored = {str(row.account_id) for row in rows(app, WaitingSignup)}

    assert stored == {one["account_id"] for one in waiting[1:]}
    first, *others = tokens(app, ANN)
    assert confirm(client, first) == 400
    assert confirm(client, others[2]) == 204
    assert [confirm(client, one) for one in others] == [400] * 5
    assert [str(row.id) for row in rows(app, Account)] == [waiting[3]["account_id"]]


def test_one_of_concurrent_confirmations_creates_the_account(app, client):
    for _ in range(4):
        sign_up(client)
    mailed = tokens(app, ANN)

    statuses = at_once(lambda number: confirm(app.test_client(), mailed[number]), 4)

    assert sorted(statuses) == [204, 400, 400, 400]
    assert len(rows(app, Account)) == 1
