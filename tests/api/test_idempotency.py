"""A POST repeated with its Idempotency-Key gets the first response, and changes nothing."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests import factories
from tests.harness import vault_rows
from tests.harness.app_fixtures import signed_in
from tests.harness.threads import at_once
from tests.harness.vault_writer import Writer
from vaultr.api import idempotency
from vaultr.api.contract import contract_of
from vaultr.api.idempotency import StoredResponse
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64
from vaultr.vault.models import VAULTS

pytestmark = pytest.mark.both_databases
KEY = {"Idempotency-Key": "c0ffee"}
NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)

# Their responses contain secrets, or they count guesses in a separate transaction.
IGNORING = {
    "/api/v1/auth/recovery-codes",
    "/api/v1/auth/step-up",
    "/api/v1/auth/totp",
    "/api/v1/auth/totp/confirm",
}


def new_vault():
    return {
        "id": str(uuid4()),
        "sealed_key": b64(factories.sealed(64)),
        "overview": b64(factories.sealed()),
    }


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def stored_responses(app):
    with app.app_context(), transaction() as session:
        return session.execute(sa.select(sa.func.count()).select_from(StoredResponse)).scalar_one()


def test_replayed_response_has_the_same_bytes(app, as_ann):
    vault = new_vault()

    first = as_ann.post("/api/v1/vaults", json=vault, headers=KEY)
    again = as_ann.post("/api/v1/vaults", json=vault, headers=KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.data == again.data
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]
    assert len(vault_rows.rows(app, VAULTS)) == 1
    assert [event["typ"] for event in factories.events(app)].count("vault.create") == 1


def test_repeated_request_without_idempotency_key_is_not_replayed(as_ann):
    vault = new_vault()
    as_ann.post("/api/v1/vaults", json=vault)

    assert slug(as_ann.post("/api/v1/vaults", json=vault)) == "vault-exists"


@pytest.mark.parametrize("more", [{"path": "/api/v1/auth/logout"}, {"json": {"id": str(uuid4())}}])
def test_idempotency_key_with_another_request_is_rejected(as_ann, more):
    vault = new_vault()
    as_ann.post("/api/v1/vaults", json=vault, headers=KEY)
    path = more.get("path", "/api/v1/vaults")
    body = {} if "path" in more else {"json": {**vault, **more["json"]}}

    rejected = as_ann.post(path, headers=KEY, **body)

    assert (rejected.status_code, slug(rejected)) == (422, "idempotency-reused")
    assert as_ann.get("/api/v1/auth/me").status_code == 200


def test_replay_with_different_bytes_is_rejected(as_ann):
    vault = new_vault()
    as_ann.post("/api/v1/vaults", json=vault, headers=KEY)

    wider = json.dumps(vault, indent=1)
    other = as_ann.post("/api/v1/vaults", data=wider, content_type="application/json", headers=KEY)

    assert slug(other) == "idempotency-reused"


def test_idempotency_keys_of_accounts_are_independent(app, as_ann, as_bob):
    as_ann.post("/api/v1/vaults", json=new_vault(), headers=KEY)

    theirs = as_bob.post("/api/v1/vaults", json=new_vault(), headers=KEY)

    assert theirs.status_code == 201
    assert "Idempotency-Replayed" not in theirs.headers


def test_sessions_of_an_account_share_idempotency_keys(app, as_ann):
    vault = new_vault()
    as_ann.post("/api/v1/vaults", json=vault, headers=KEY)

    again = signed_in(app, "ann@example.org").post("/api/v1/vaults", json=vault, headers=KEY)

    assert again.headers["Idempotency-Replayed"] == "true"


def test_error_response_is_not_stored(app, as_ann, set_to):
    set_to(app, quota_vaults=0)
    vault = new_vault()
    assert slug(as_ann.post("/api/v1/vaults", json=vault, headers=KEY)) == "quota-exceeded"
    assert stored_responses(app) == 0

    set_to(app, quota_vaults=1)

    assert as_ann.post("/api/v1/vaults", json=vault, headers=KEY).status_code == 201


def test_anonymous_request_stores_no_idempotency_key(app, client):
    assert client.post("/api/v1/vaults", json=new_vault(), headers=KEY).status_code == 401
    body = {"email": "ann@example.org"}
    assert client.post("/api/v1/auth/prelogin", json=body, headers=KEY).status_code == 200
    assert stored_responses(app) == 0


def test_dead_session_gets_no_replayed_response(as_ann):
    vault = new_vault()
    as_ann.post("/api/v1/vaults", json=vault, headers=KEY)
    as_ann.post("/api/v1/auth/logout")

    assert as_ann.post("/api/v1/vaults", json=vault, headers=KEY).status_code == 401


@pytest.mark.parametrize("key", ["", "x" * 129, "caf\u00e9", "a\tb"])
def test_malformed_idempotency_key_is_rejected_before_the_request_runs(app, as_ann, key):
    rejected = as_ann.post("/api/v1/vaults", json=new_vault(), headers={"Idempotency-Key": key})

    assert (rejected.status_code, slug(rejected)) == (400, "bad-request")
    assert vault_rows.rows(app, VAULTS) == []


def test_longest_idempotency_key_is_accepted(as_ann):
    vault, key = new_vault(), {"Idempotency-Key": "x" * 128}

    answers = [as_ann.post("/api/v1/vaults", json=vault, headers=key) for _ in range(2)]

    assert [one.status_code for one in answers] == [201, 201]


def test_idempotency_key_can_be_reused_after_a_day(app, as_ann):
    first, second = new_vault(), new_vault()
    as_ann.post("/api/v1/vaults", json=first, headers=KEY)
    with app.app_context(), transaction() as session:
        session.execute(
            sa.update(StoredResponse).values(created_at=datetime.now(UTC) - timedelta(hours=24))
        )

    answers = [as_ann.post("/api/v1/vaults", json=second, headers=KEY) for _ in range(2)]

    assert [one.status_code for one in answers] == [201, 201]
    assert [one.headers.get("Idempotency-Replayed") for one in answers] == [None, "true"]


def test_parallel_duplicates_run_once_and_get_same_response(app, as_ann):
    vault = new_vault()

    def post(_number):
        client = app.test_client()
        client.environ_base.update(as_ann.environ_base)
        return client.post("/api/v1/vaults", json=vault, headers=KEY)

    answers = at_once(post, 8)

    assert {(one.status_code, one.data) for one in answers} == {(201, answers[0].data)}
    assert sum("Idempotency-Replayed" in one.headers for one in answers) == 7
    assert len(vault_rows.rows(app, VAULTS)) == 1


def test_item_write_is_replayed_with_its_etag(app, as_ann):
    vault = Writer(as_ann).create()
    request = vault.move_request("trash", vault.put())
    headers = {**request.headers, **KEY}

    answers = [as_ann.post(request.path, json=request.body, headers=headers) for _ in range(2)]

    assert [(one.status_code, one.data, one.headers["ETag"]) for one in answers] == [
        (200, answers[0].data, '"2"')
    ] * 2
    assert answers[1].headers["Idempotency-Replayed"] == "true"


def test_dry_run_response_is_not_stored(app, as_ann):
    vault = Writer(as_ann).create()
    request = vault.batch_request(("put", uuid4(), "hunter2"))

    answers = [
        as_ann.post(f"{request.path}?dry_run=true", json=request.body, headers=KEY)
        for _ in range(2)
    ]

    assert [(one.status_code, one.data) for one in answers] == [(200, answers[0].data)] * 2
    assert stored_responses(app) == 0


def test_ended_session_gets_no_replay_from_fast_route(app, as_ann):
    vault = Writer(as_ann).create()
    request = vault.move_request("trash", vault.put())
    headers = {**request.headers, **KEY}
    assert as_ann.post(request.path, json=request.body, headers=headers).status_code == 200
    with app.app_context():
        factories.change_session(as_ann.session.id, idle_until=datetime.now(UTC))

    assert as_ann.post(request.path, json=request.body, headers=headers).status_code == 401


def test_stored_response_expires_after_a_day(app, as_ann):
    with app.app_context(), transaction() as session:
        for number in range(3):
            session.add(_row(number, NOON - timedelta(days=1) + timedelta(seconds=number - 1)))
    with time_machine.travel(NOON, tick=False), app.app_context():
        assert idempotency.delete_expired() is False

    assert stored_responses(app) == 1


def test_deleted_account_leaves_no_stored_responses(app, as_ann, as_bob):
    for client in (as_ann, as_bob):
        client.post("/api/v1/vaults", json=new_vault(), headers=KEY)

    with app.app_context(), transaction() as session:
        idempotency.delete_responses(session, as_ann.account_id)

    assert stored_responses(app) == 1


def test_posts_that_ignore_idempotency_key_are_listed(app):
    closed = {
        rule.rule: contract
        for rule in app.url_map.iter_rules()
        if "POST" in rule.methods
        and (contract := contract_of(view := app.view_functions[rule.endpoint])) is not None
        and not getattr(view, "public", False)
    }

    assert {path for path, contract in closed.items() if not contract.idempotent} == IGNORING


def _row(number, created_at):
    return StoredResponse(
        owner_id=uuid4(), key_hash=b"k%d" % number, request_hash=b"r", created_at=created_at,
        status=204, headers="[]", body=b"",
    )  # fmt: skip
