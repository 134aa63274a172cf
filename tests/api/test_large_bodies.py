"""The server reads a large body only from a sender that has authenticated."""

import json
from uuid import uuid4

import pytest

from tests.harness import account_recovery
from tests.harness.account_recovery import after_the_wait, begun, completion
from tests.harness.vault_rows import assert_problem, unchanged
from tests.harness.vault_writer import Writer
from vaultr.api import large_bodies
from vaultr.protocol.sizes import BODY_BYTES

COMPLETE = "/api/v1/auth/recover/complete"
LARGE = {"padding": "x" * BODY_BYTES}


@pytest.fixture
def unparsed(monkeypatch):
    """Fail the test if the server reads the rest of a large body."""

    def read(_first, _length):
        raise AssertionError("a large body was read")

    monkeypatch.setattr(large_bodies, "read_rest", read)


def large(**members):
    """Encode a body in the order of ``members``, larger than 1 MiB."""
    return json.dumps(members | LARGE)


def post(client, data, path=COMPLETE, **more):
    return client.post(path, data=data, content_type="application/json", **more)


def test_large_body_with_wrong_token_is_not_read(app, client, unparsed):
    proof = {"token": "a" * 43, "rk_auth": "A" * 43}

    with unchanged(app):
        response = post(client, large(**proof))

    assert_problem(response, 400, "token-invalid")


def test_large_body_with_wrong_recovery_key_is_not_read(app, client, unparsed):
    _, token = begun(app)

    response = post(client, large(token=token, rk_auth="A" * 43))

    assert_problem(response, 400, "token-invalid")


def test_large_body_during_recovery_wait_is_not_read(app, client, unparsed):
    account_id, token = begun(app)

    response = post(client, large(**account_recovery.proof(token, account_id)))

    assert_problem(response, 403, "recovery-pending")


@pytest.mark.parametrize(
    "body",
    [
        large(auth_key="A" * 43, token="a" * 43, rk_auth="A" * 43),
        large(token="a" * 43, auth_key="A" * 43),
        large(token="a" * 43),
        large(token="a" * 43, rk_auth="A"),
        "[" + large(token="a" * 43, rk_auth="A" * 43) + "]",
    ],
)
def test_large_body_without_leading_proof_is_rejected(client, unparsed, body):
    response = post(client, body)

    assert_problem(response, 400, "bad-request")


def test_large_body_with_leading_proof_is_read(app, client, time_machine):
    account_id, token = begun(app)
    after_the_wait(time_machine)
    body = completion(app, token, account_id)
    in_order = {name: body.pop(name) for name in ("rk_auth", "token")} | body
    text = json.dumps(in_order)

    response = post(client, text[:-1] + " " * BODY_BYTES + text[-1])

    assert response.status_code == 204


def test_large_batch_of_an_ended_session_is_not_read(app, as_ann, unparsed):
    vault = Writer(as_ann).create()
    assert as_ann.post("/api/v1/auth/logout").status_code == 204

    response = post(as_ann, large(changes=[]), f"{vault.path}/changes")

    assert_problem(response, 401, "unauthenticated")


def test_large_batches_are_read_one_at_a_time(app, as_ann):
    vault = Writer(as_ann).create()
    batch = vault.batch_request(*(("put", uuid4()) for _ in range(2)))
    body = json.dumps(batch.body)
    body = body[:-1] + " " * BODY_BYTES + body[-1]
    with app.app_context():
        turns = large_bodies._TURNS.get()

    with turns.turn(), unchanged(app):
        turns._wait_seconds, before = 0.01, turns._wait_seconds
        rejected = post(as_ann, body, batch.path)
        turns._wait_seconds = before
    accepted = post(as_ann, body, batch.path)

    assert_problem(rejected, 503, "busy")
    assert rejected.headers["Retry-After"]
    assert accepted.status_code == 200


def test_large_batch_with_idempotency_key_is_replayed(app, as_ann):
    vault = Writer(as_ann).create()
    batch = vault.batch_request(("put", uuid4()))
    body = json.dumps(batch.body)
    body = body[:-1] + " " * BODY_BYTES + body[-1]
    key = {"Idempotency-Key": "one"}

    first = post(as_ann, body, batch.path, headers=key)
    second = post(as_ann, body, batch.path, headers=key)
    other = post(as_ann, body + " ", batch.path, headers=key)

    assert (first.status_code, second.json) == (200, first.json)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert_problem(other, 422, "idempotency-reused")


def test_large_body_with_non_ascii_text_is_rejected(app, as_ann):
    vault = Writer(as_ann).create()
    body = json.dumps({"changes": [], "x": "\U0001f600" + "x" * BODY_BYTES}, ensure_ascii=False)

    with unchanged(app):
        response = post(as_ann, body.encode(), f"{vault.path}/changes")

    assert_problem(response, 400, "bad-request")


def test_small_body_with_very_many_keys_is_rejected(app, as_ann):
    vault = Writer(as_ann).create()
    body = json.dumps({str(n): 1 for n in range(20_001)}, separators=(",", ":"))
    assert len(body) < BODY_BYTES

    with unchanged(app):
        response = post(as_ann, body, f"{vault.path}/changes")

    assert_problem(response, 400, "bad-request")
    assert "too many" in response.json["detail"]
