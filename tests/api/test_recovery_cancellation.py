"""Owners end a recovery by email, from a session, or by a change of keys."""

import pytest

from tests import factories
from tests.harness.account_recovery import (
    ANN,
    CANCEL,
    COMPLETE,
    NEW,
    RECOVER,
    START,
    after_the_wait,
    begun,
    completion,
    proof,
    requested,
    tokens_left,
    with_recovery_key,
)
from tests.harness.key_replacement import new_keys, rewrapped
from tests.harness.outbox import emails
from tests.harness.threads import at_once
from vaultr.auth.models import RecoveryKey
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

AUTH = "/api/v1/auth"
KEY, PAGE = f"{AUTH}/recovery-key", "/recover/cancel"


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def has_key(app):
    with app.app_context(), transaction() as work:
        return work.query(RecoveryKey).count() == 1


def every_step_is_rejected(app, token, account_id):
    client = app.test_client()
    answers = [
        client.post(START, json=proof(token, account_id)),
        client.post(COMPLETE, json=completion(app, token, account_id)),
        client.post(CANCEL, json={"token": token}),
    ]
    return {(one.status_code, slug(one)) for one in answers} == {(400, "token-invalid")}


def a_key(epoch=1, key=b"k" * 32):
    return {"verifier": b64(key), "sealed": b64(factories.sealed(32)), "epoch": epoch}


def test_cancel_token_ends_recovery_and_its_recovery_key(app, client):
    account_id, token = begun(app)

    response = client.post(CANCEL, json={"token": token})

    assert (response.status_code, response.data) == (204, b"")
    assert every_step_is_rejected(app, token, account_id)
    assert not has_key(app)
    events = [event["typ"] for event in factories.events(app)]
    assert events.count("cred.recover.cancel") == events.count("recovery-key.remove") == 1
    assert emails(app, ANN)[-1].kind == "recovery-cancelled"


def test_cancelling_unstarted_token_ends_only_that_token(app, client):
    account_id = with_recovery_key(app)
    first, second = requested(app), requested(app)

    assert client.post(CANCEL, json={"token": first}).status_code == 204

    assert has_key(app)
    assert every_step_is_rejected(app, first, account_id)
    assert client.post(START, json=proof(second, account_id)).status_code == 200


def test_live_session_cancels_recovery_without_step_up(app, as_ann):
    account_id, token = begun(app)
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    assert as_ann.delete(RECOVER).status_code == 204

    assert every_step_is_rejected(app, token, account_id)
    assert not has_key(app)
    assert as_ann.get(f"{AUTH}/me").json["recovery"] is None
    assert as_ann.delete(RECOVER).status_code == 404


def test_cancelling_unused_token_is_recorded(app, as_ann):
    with_recovery_key(app)
    requested(app)

    response = as_ann.delete(RECOVER)

    assert response.status_code == 204
    events = [(event["typ"], event["out"]) for event in factories.events(app)]
    assert events[-1] == ("cred.recover.cancel", "ok:by-session")


def test_session_of_another_account_cancels_nothing(app, as_bob, client):
    account_id, token = begun(app)

    assert as_bob.delete(RECOVER).status_code == 404

    assert client.post(START, json=proof(token, account_id)).status_code == 200


def test_cancel_page_acts_only_on_its_button(app, client):
    account_id, token = begun(app)
    for _ in range(3):
        page = client.get(PAGE, query_string={"token": token})
        assert page.status_code == 200
    assert tokens_left(app) == 1

    pressed = client.post(PAGE, data={"token": token})

    assert (pressed.status_code, pressed.mimetype) == (200, "text/html")
    assert every_step_is_rejected(app, token, account_id)
    assert client.post(PAGE, data={"token": token}).status_code == 400


@pytest.mark.parametrize("renewed", [False, True], ids=["same-key", "new-key"])
def test_new_credentials_end_recovery(app, as_ann, renewed):
    account_id, token = begun(app)
    more = {"rewrap": rewrapped(app, account_id)} if renewed else {}

    assert as_ann.put(f"{AUTH}/credentials", json=new_keys(NEW) | more).status_code == 204

    assert every_step_is_rejected(app, token, account_id)
    assert not has_key(app)


def test_new_recovery_key_ends_recovery_and_stays(app, as_ann):
    account_id, token = begun(app)

    assert as_ann.put(KEY, json=a_key()).status_code == 204

    assert every_step_is_rejected(app, token, account_id)
    assert has_key(app)


def test_removing_recovery_key_ends_recovery(app, as_ann):
    account_id, token = begun(app)

    assert as_ann.delete(KEY).status_code == 204

    assert every_step_is_rejected(app, token, account_id)


def test_parallel_completion_and_cancellation_are_serialised(app, time_machine):
    account_id, token = begun(app)
    after_the_wait(time_machine)
    body = completion(app, token, account_id)

    def do(number):
        client = app.test_client()
        if number:
            return client.post(CANCEL, json={"token": token}).status_code
        return client.post(COMPLETE, json=body).status_code

    assert sorted(at_once(do, 2)) == [204, 400]


def test_one_of_parallel_cancellations_succeeds(app):
    _, token = begun(app)

    answers = at_once(lambda _: app.test_client().post(CANCEL, json={"token": token}), 4)

    assert sorted(one.status_code for one in answers) == [204, 400, 400, 400]
    assert [one.kind for one in emails(app, ANN)].count("recovery-cancelled") == 1


def test_recovery_key_is_stored_replaced_and_removed(app, as_ann):
    assert as_ann.get(f"{AUTH}/me").json["recovery_key"] is None
    assert as_ann.put(KEY, json=a_key(key=b"1" * 32)).status_code == 204
    assert as_ann.put(KEY, json=a_key(key=b"2" * 32)).status_code == 204

    with app.app_context(), transaction() as work:
        assert work.query(RecoveryKey).one().verifier == b"2" * 32
    assert as_ann.get(f"{AUTH}/me").json["recovery_key"]["epoch"] == 1
    assert as_ann.delete(KEY).status_code == 204
    assert not has_key(app)
    assert as_ann.delete(KEY).status_code == 404
    events = [event["typ"] for event in factories.events(app)]
    assert events.count("recovery-key.set") == 2
    assert events.count("recovery-key.remove") == 1
    kinds = [one.kind for one in emails(app, ANN)]
    assert kinds == ["recovery-key-set", "recovery-key-set", "recovery-key-removed"]


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"epoch": 2}, 412, "precondition-failed"),
        ({"epoch": 0}, 412, "precondition-failed"),
        ({"sealed": "AAAA"}, 422, "not-sealed"),
        ({"sealed": ""}, 422, "not-sealed"),
        ({"verifier": b64(b"k" * 31)}, 400, "bad-request"),
        ({"more": 1}, 400, "bad-request"),
    ],
)
def test_invalid_recovery_key_is_rejected(app, as_ann, change, status, problem):
    response = as_ann.put(KEY, json=a_key() | change)

    assert (response.status_code, slug(response)) == (status, problem)
    assert not has_key(app)


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_recovery_key_needs_recent_step_up_first(app, as_ann, method):
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    response = as_ann.open(KEY, method=method, json=a_key() if method == "PUT" else None)

    assert (response.status_code, slug(response)) == (403, "step-up-required")


def test_parallel_recovery_key_and_account_key_change_stay_consistent(app, as_ann):
    def do(number):
        client = app.test_client()
        headers = as_ann.session.headers
        if number:
            return client.put(KEY, json=a_key(), headers=headers).status_code
        body = new_keys(NEW) | {"rewrap": rewrapped(app, as_ann.account_id)}
        return client.put(f"{AUTH}/credentials", json=body, headers=headers).status_code

    changed, stored = at_once(do, 2)

    assert changed == 204
    assert stored in {204, 401}
    assert not has_key(app)
