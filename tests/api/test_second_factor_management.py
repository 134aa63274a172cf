"""Owners add, confirm, list and remove second factors."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from tests.harness import outbox
from tests.harness.second_factors import Phone, confirmed
from tests.harness.threads import at_once
from vaultr.auth import second_factor_secrets
from vaultr.auth.models import Factor, RecoveryCode
from vaultr.database.session import transaction
from vaultr.security.keyring import KeyRing, Resealed, ServerKeys
from vaultr.settings.loader import generate_keys
from vaultr.settings.types import Keys

TOTP, CONFIRM = "/api/v1/auth/totp", "/api/v1/auth/totp/confirm"
CODES, ME = "/api/v1/auth/recovery-codes", "/api/v1/auth/me"
FACTOR_ROUTES = [("POST", TOTP), ("POST", CONFIRM), ("DELETE", TOTP), ("POST", CODES)]


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def events_of(app, kind):
    return [(e["typ"], e["out"]) for e in factories.events(app) if e["typ"].startswith(kind)]


def subjects(app):
    return [email_message.subject for email_message in outbox.emails(app)]


def test_factor_is_active_after_first_correct_code(app, as_ann):
    begun = as_ann.post(TOTP)
    assert begun.status_code == 201
    assert begun.json.keys() == {"secret", "uri"}
    assert as_ann.get(ME).json["factors"] == []
    label = "Vaultr%20%28localhost%29:ann%40example.org"
    assert begun.json["uri"].startswith(f"otpauth://totp/{label}?secret={begun.json['secret']}&")

    phone = Phone(begun.json["uri"])
    done = as_ann.post(CONFIRM, json={"code": phone.code()})

    assert done.status_code == 200
    codes = done.json["recovery_codes"]
    assert len(set(codes)) == 10
    assert all(
        re.fullmatch("([0-9a-hj-km-np-tv-z]{4}-){3}[0-9a-hj-km-np-tv-z]{4}", c) for c in codes
    )
    factors = as_ann.get(ME).json["factors"]
    assert [(one["kind"], one["left"]) for one in factors] == [
        ("totp", None),
        ("recovery-codes", 10),
    ]


def test_factor_changes_are_recorded_and_emailed(app, as_ann):
    confirmed(as_ann)
    as_ann.post(CODES)
    as_ann.delete(TOTP)

    assert events_of(app, "factor") == [
        ("factor.add", "ok:begun"),
        ("factor.add", "ok:confirmed"),
        ("factor.codes", "ok:renewed"),
        ("factor.codes", "ok:renewed"),
        ("factor.remove", "ok"),
    ]
    assert subjects(app) == [
        "Your Vaultr account now needs a second factor",
        "Your Vaultr recovery codes were replaced",
        "Your Vaultr account no longer needs a second factor",
    ]


def test_secret_is_stored_sealed_and_codes_hashed(app, as_ann):
    begun = as_ann.post(TOTP).json
    phone = Phone(begun["uri"])
    codes = as_ann.post(CONFIRM, json={"code": phone.code()}).json["recovery_codes"]

    (factor,) = rows(app, Factor)
    stored = [one.code_hash for one in rows(app, RecoveryCode)]
    assert phone.secret not in factor.sealed
    assert factor.key_id == "test"
    assert factor.sealed[:5] == b"\x04test"
    assert {len(one) for one in stored} == {32}
    text = repr(factories.events(app)) + repr([one.text for one in outbox.emails(app)])
    assert not any(secret in text for secret in (begun["secret"], *codes))


@pytest.mark.parametrize(("method", "path"), FACTOR_ROUTES)
def test_factor_changes_need_recent_step_up(app, as_ann, method, path):
    with app.app_context():
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        factories.change_session(as_ann.session.id, proven_at=hour_ago)

    body = {"json": {"code": "123456"}} if path == CONFIRM else {}
    response = as_ann.open(path, method=method, **body)

    assert response.status_code == 403
    assert response.json["type"] == "urn:vaultr:problem:step-up-required"


def test_newest_totp_secret_replaces_earlier_one(as_ann):
    first, second = (Phone(as_ann.post(TOTP).json["uri"]) for _ in range(2))

    assert as_ann.post(CONFIRM, json={"code": first.code()}).status_code == 422
    assert as_ann.post(CONFIRM, json={"code": second.code()}).status_code == 200


def test_parallel_totp_setups_leave_one_secret(app, as_ann):
    def begin(_):
        return app.test_client().post(TOTP, headers=as_ann.session.headers)

    answers = at_once(begin, 6)

    assert {answer.status_code for answer in answers} == {201}
    assert len(rows(app, Factor)) == 1
    phones = [Phone(answer.json["uri"]) for answer in answers]
    right = [as_ann.post(CONFIRM, json={"code": p.code()}).status_code for p in phones]
    assert sorted(right)[0] == 200
    assert len([one for one in right if one == 200]) == 1


def test_parallel_confirmations_create_one_set_of_recovery_codes(app, as_ann):
    phone = Phone(as_ann.post(TOTP).json["uri"])

    def confirm(_):
        headers = as_ann.session.headers
        return app.test_client().post(CONFIRM, json={"code": phone.code()}, headers=headers)

    statuses = sorted(answer.status_code for answer in at_once(confirm, 5))

    assert statuses == [200] + [409] * 4
    assert len(rows(app, RecoveryCode)) == 10


def test_wrong_first_code_leaves_factor_pending(as_ann):
    phone = Phone(as_ann.post(TOTP).json["uri"])

    response = as_ann.post(CONFIRM, json={"code": phone.wrong()})

    assert response.status_code == 422
    assert response.json["type"] == "urn:vaultr:problem:unprocessable"
    assert [one["pointer"] for one in response.json["errors"]] == ["/code"]
    assert as_ann.post(CONFIRM, json={"code": phone.code()}).status_code == 200


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", "\uff11" * 6, "", None, 123456])
def test_malformed_totp_code_returns_400(as_ann, code):
    as_ann.post(TOTP)

    assert as_ann.post(CONFIRM, json={"code": code}).status_code == 400


def test_missing_factor_cannot_be_confirmed_renewed_or_removed(as_ann):
    assert as_ann.post(CONFIRM, json={"code": "123456"}).status_code == 409
    assert as_ann.post(CODES).status_code == 409
    assert as_ann.delete(TOTP).status_code == 404


def test_confirmed_factor_cannot_be_replaced(as_ann):
    confirmed(as_ann)

    assert as_ann.post(TOTP).status_code == 409
    assert as_ann.post(CONFIRM, json={"code": "123456"}).status_code == 409


def test_removing_a_factor_removes_its_recovery_codes(app, as_ann):
    confirmed(as_ann)

    assert as_ann.delete(TOTP).status_code == 204

    assert as_ann.get(ME).json["factors"] == []
    assert rows(app, Factor) == rows(app, RecoveryCode) == []
    assert as_ann.delete(TOTP).status_code == 404


def test_unconfirmed_factor_can_be_removed(app, as_ann):
    as_ann.post(TOTP)

    assert as_ann.delete(TOTP).status_code == 204
    assert rows(app, Factor) == []
    assert outbox.emails(app) == []


def test_renewal_invalidates_old_recovery_codes(app, as_ann):
    _, old = confirmed(as_ann)

    new = as_ann.post(CODES).json["recovery_codes"]

    assert len(set(new)) == 10
    assert not set(new) & set(old)
    assert len(rows(app, RecoveryCode)) == 10


def test_response_with_secret_is_not_stored_for_idempotency_key(as_ann):
    key = {"Idempotency-Key": "k1"}

    one, two = (as_ann.post(TOTP, headers=key) for _ in range(2))

    assert one.json["secret"] != two.json["secret"]
    assert "Idempotency-Replayed" not in two.headers


def test_factors_of_another_account_are_unchanged(app, as_ann, as_bob):
    confirmed(as_ann)
    confirmed(as_bob)

    as_ann.delete(TOTP)

    assert [one.account_id for one in rows(app, Factor)] == [as_bob.account_id]
    assert {one.account_id for one in rows(app, RecoveryCode)} == {as_bob.account_id}


def test_totp_secret_moved_between_accounts_is_unusable(app, client, as_ann, as_bob):
    """Database access does not allow giving an account another factor."""
    confirmed(as_ann)
    phone, _ = confirmed(as_bob)
    with app.app_context(), transaction() as work:
        found = {one.account_id: one for one in work.query(Factor)}
        found[as_ann.account_id].sealed = found[as_bob.account_id].sealed
        found[as_ann.account_id].last_step = -1

    body = factories.login("ann@example.org", totp=phone.next_code())

    assert client.post("/api/v1/auth/login", json=body).status_code == 401


@pytest.fixture
def with_keys(app, monkeypatch):
    def change(text):
        known = app.extensions["security.keyring"]
        ring = KeyRing(Keys.parse(text))
        changed = {n: getattr(known, n) for n in ("jwt", "pepper", "mail", "audit")}
        monkeypatch.setitem(app.extensions, "security.keyring", ServerKeys(factor=ring, **changed))

    return change


def test_secrets_are_resealed_when_the_key_rotates(app, as_ann, as_bob, with_keys):
    phones = [confirmed(client)[0] for client in (as_ann, as_bob)]
    old = app.extensions["security.keyring"].factor.keys
    old_text = ",".join(f"{name}:{factories.b64(key)}" for name, key in old.by_id.items())
    new_text = generate_keys("new")["FACTOR_KEY"]
    with_keys(f"{new_text},{old_text}")

    with app.app_context():
        assert second_factor_secrets.factors_by_key() == {"test": 2}
        assert second_factor_secrets.reseal_factors(at_a_time=1) == Resealed(done=2)
        assert second_factor_secrets.reseal_factors() == Resealed()
        assert second_factor_secrets.factors_by_key() == {"new": 2}

    with_keys(new_text)  # the old one is permanently deleted
    body = factories.login("ann@example.org", totp=phones[0].next_code())
    assert app.test_client().post("/api/v1/auth/login", json=body).status_code == 200


def test_secret_without_key_stays_and_recovery_codes_work(app, as_ann, with_keys):
    phone, codes = confirmed(as_ann)
    with_keys(generate_keys("new")["FACTOR_KEY"])

    with app.app_context():
        assert second_factor_secrets.reseal_factors() == Resealed(left=1)
        assert second_factor_secrets.factors_by_key() == {"test": 1}
    client = app.test_client()
    by_phone = factories.login("ann@example.org", totp=phone.next_code())
    by_code = factories.login("ann@example.org", recovery_code=codes[0])

    assert client.post("/api/v1/auth/login", json=by_phone).status_code == 401
    assert client.post("/api/v1/auth/login", json=by_code).status_code == 200
