"""Recovery of an account with mailbox and recovery key after a day."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests import factories
from tests.harness import account_recovery
from tests.harness.account_recovery import (
    ANN,
    COMPLETE,
    NEW,
    RECOVER,
    START,
    after_the_wait,
    begun,
    completion,
    mailed,
    proof,
    requested,
    with_recovery_key,
)  # fmt: skip
from tests.harness.outbox import emails
from tests.harness.threads import at_once
from vaultr.auth.models import Account, EmailChange, Factor, RecoveryKey, Session
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64
from vaultr.vault.models import VaultKey

pytestmark = pytest.mark.both_databases
LOGIN, ME = "/api/v1/auth/login", "/api/v1/auth/me"
EPOCH_3 = {"epoch": 3, "sealed": b64(factories.sealed(32))}


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def opens(app, key=None):
    return app.test_client().post(LOGIN, json=factories.login(ANN, key=key)).status_code


def add_factor(account_id):
    now = datetime.now(UTC)
    row = Factor(
        id=uuid4(), account_id=account_id, kind="totp", sealed=b"x", key_id="k", last_step=0,
        created_at=now, confirmed_at=now,
    )  # fmt: skip
    with transaction() as work:
        work.add(row)


def test_recovery_works_from_email_to_new_password(app, client, time_machine):
    account_id = with_recovery_key(app)
    with app.app_context():
        vault = factories.vault(ANN)
        session = factories.session()

    assert client.post(RECOVER, json={"email": ANN}).status_code == 202
    (token,) = mailed(app)
    started = client.post(START, json=proof(token, account_id))
    assert started.json.keys() == {"ready_at"}
    assert (
        client.get(ME, headers=session.headers).json["recovery"]["ready_at"]
        == (started.json["ready_at"])
    )
    early = client.post(COMPLETE, json=completion(app, token, account_id))
    assert (early.status_code, slug(early)) == (403, "recovery-pending")

    after_the_wait(time_machine)
    provided = client.post(START, json=proof(token, account_id)).json
    assert provided["ready_at"] == started.json["ready_at"]
    assert provided["recovery_key"]["epoch"] == 1
    assert [one["vault_id"] for one in provided["vaults"]] == [str(vault.id)]
    assert [key["generation"] for key in provided["vaults"][0]["keys"]] == [1]
    assert provided["machines"] == []
    assert provided["key_set"]["account_key"]["epoch"] == 1

    done = client.post(COMPLETE, json=completion(app, token, account_id))

    assert (done.status_code, done.data) == (204, b"")
    assert (opens(app, NEW), opens(app)) == (200, 401)
    assert client.get(ME, headers=session.headers).status_code == 401
    assert rows(app, RecoveryKey) == []


def test_recovery_returns_stored_sealed_values(app, client, time_machine):
    account_id, token = begun(app)
    with app.app_context():
        factories.vault(ANN)
    stored, (key,) = rows(app, RecoveryKey), rows(app, VaultKey)
    after_the_wait(time_machine)

    provided = client.post(START, json=proof(token, account_id)).json

    assert provided["recovery_key"]["sealed"] == b64(stored[0].sealed)
    assert provided["vaults"][0]["keys"][0]["sealed_key"] == b64(key.sealed_key)


def test_owner_is_notified_at_each_step(app, client, time_machine):
    account_id, token = begun(app)

    (notice,) = [one for one in emails(app, ANN) if one.kind == "recovery-started"]
    assert account_recovery.LINK.search(notice.text)[1] == token
    assert token not in notice.subject
    after_the_wait(time_machine)
    client.post(COMPLETE, json=completion(app, token, account_id))

    done = emails(app, ANN)[-1]
    assert (done.kind, done.notice) == ("recovered", True)
    assert "second factors: none" in done.text
    assert "machines with access: none" in done.text


def test_recovery_keeps_second_factors_and_names_them_in_email(app, client, time_machine):
    account_id, token = begun(app)
    with app.app_context():
        add_factor(account_id)
    after_the_wait(time_machine)

    assert client.post(COMPLETE, json=completion(app, token, account_id)).status_code == 204

    assert "second factors: totp" in emails(app, ANN)[-1].text
    answer = client.post(LOGIN, json=factories.login(ANN, key=NEW))
    assert slug(answer) == "second-factor-required"


def test_recovery_steps_are_recorded(app, client, time_machine):
    account_id, token = begun(app)
    after_the_wait(time_machine)
    client.post(START, json=proof(token, account_id))
    client.post(COMPLETE, json=completion(app, token, account_id))

    events = [event["typ"] for event in factories.events(app) if event["sub"] == str(account_id)]

    assert events == [
        "cred.recover.start", "cred.recover.start", "cred.recover.done", "recovery-key.remove"
    ]  # fmt: skip


def test_recovery_wait_counts_from_first_start(app, client, time_machine):
    account_id, token = begun(app)
    began = datetime.now(UTC)

    for hours in (5, 23):
        time_machine.move_to(began + timedelta(hours=hours))
        assert client.post(START, json=proof(token, account_id)).json.keys() == {"ready_at"}
    time_machine.move_to(began + timedelta(hours=24, seconds=1))

    assert "key_set" in client.post(START, json=proof(token, account_id)).json
    assert [one.kind for one in emails(app, ANN)].count("recovery-started") == 1


def test_parallel_starts_begin_one_recovery_with_same_response(app):
    account_id = with_recovery_key(app)
    token = requested(app)

    answers = at_once(lambda _: app.test_client().post(START, json=proof(token, account_id)), 4)

    assert {one.status_code for one in answers} == {200}
    assert len({one.json["ready_at"] for one in answers}) == 1
    assert [one.kind for one in emails(app, ANN)].count("recovery-started") == 1


def test_started_token_expires_72_hours_after_start(app, client, time_machine):
    account_id = with_recovery_key(app)
    token, mailed_at = requested(app), datetime.now(UTC)
    time_machine.move_to(mailed_at + timedelta(hours=71))
    assert client.post(START, json=proof(token, account_id)).status_code == 200

    time_machine.move_to(mailed_at + timedelta(hours=71 + 72, seconds=1))
    late = client.post(COMPLETE, json=completion(app, token, account_id))
    assert (late.status_code, late.json["type"]) == (400, "urn:vaultr:problem:token-invalid")

    time_machine.move_to(mailed_at + timedelta(hours=71 + 71))
    assert client.post(COMPLETE, json=completion(app, token, account_id)).status_code == 204


def test_one_of_parallel_completions_succeeds(app, time_machine):
    account_id, token = begun(app)
    after_the_wait(time_machine)
    keys = [bytes([number + 1]) * 32 for number in range(3)]
    bodies = [completion(app, token, account_id, key) for key in keys]

    answers = at_once(lambda n: app.test_client().post(COMPLETE, json=bodies[n]).status_code, 3)

    assert answers.count(204) == 1
    assert set(answers) <= {204, 400, 503}  # the queue of hashes may be full
    assert opens(app, keys[answers.index(204)]) == 200
    assert rows(app, Account)[0].epoch == 2


def test_completion_without_every_wrap_returns_409(app, client, time_machine):
    account_id, token = begun(app)
    with app.app_context():
        factories.vault(ANN)
    after_the_wait(time_machine)
    body = completion(app, token, account_id)
    body["rewrap"]["vaults"] = []

    rejected = client.post(COMPLETE, json=body)

    assert (rejected.status_code, slug(rejected)) == (409, "conflict")
    assert (opens(app), opens(app, NEW)) == (200, 401)
    assert client.post(COMPLETE, json=completion(app, token, account_id)).status_code == 204


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"account_key": EPOCH_3}, 412, "precondition-failed"),
        ({"salt": b64(bytes(32))}, 422, "kdf-refused"),
        ({"profile": {"revision": 2, "sealed": "x"}}, 422, "not-sealed"),
        ({"rewrap": None}, 400, "bad-request"),
        ({"more": 1}, 400, "bad-request"),
    ],
)  # fmt: skip
def test_invalid_completion_changes_nothing_and_can_be_repeated(
    app, client, time_machine, change, status, problem
):
    account_id, token = begun(app)
    after_the_wait(time_machine)

    rejected = client.post(COMPLETE, json=completion(app, token, account_id) | change)

    assert (rejected.status_code, slug(rejected)) == (status, problem)
    assert opens(app) == 200
    assert client.post(COMPLETE, json=completion(app, token, account_id)).status_code == 204


def test_pending_recovery_is_rejected_before_the_body_is_checked(app, client):
    account_id, token = begun(app)

    body = completion(app, token, account_id) | {"salt": b64(bytes(32))}

    assert slug(client.post(COMPLETE, json=body)) == "recovery-pending"


def test_completion_before_start_returns_recovery_pending(app, client, time_machine):
    account_id = with_recovery_key(app)
    token = requested(app)
    after_the_wait(time_machine)

    response = client.post(COMPLETE, json=completion(app, token, account_id))

    assert (response.status_code, slug(response)) == (403, "recovery-pending")


def test_completed_recovery_ends_sessions_and_pending_email_change(app, client, time_machine):
    account_id, token = begun(app)
    with app.app_context():
        session = factories.session()
    requested_for = {"email": "new@example.org"}
    assert (
        client.post("/api/v1/auth/email", json=requested_for, headers=session.headers).status_code
        == 202
    )
    after_the_wait(time_machine)

    client.post(COMPLETE, json=completion(app, token, account_id))

    assert (rows(app, Session), rows(app, EmailChange)) == ([], [])
    assert UUID(factories.events(app)[-1]["sub"]) == account_id
