"""New credentials replace the old ones completely or not at all."""

import pytest

from tests import factories
from tests.harness.key_replacement import new_keys, rewrapped
from tests.harness.outbox import emails
from tests.harness.threads import at_once
from vaultr.auth.models import Account, KeySet, RecoveryKey, Session
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64, unb64
from vaultr.vault.models import VaultKey

pytestmark = pytest.mark.both_databases
CREDENTIALS, ME = "/api/v1/auth/credentials", "/api/v1/auth/me"
LOGIN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/refresh"
ANN = "ann@example.org"
OLD, NEW = factories.auth_key(ANN), b"n" * 32


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def opens(app, key):
    return app.test_client().post(LOGIN, json=factories.login(ANN, key=key)).status_code


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def recovery_key(app, account_id):
    with app.app_context(), transaction() as work:
        row = factories.recovery_key(account_id)
        work.add(row)


def test_login_accepts_only_new_key_after_credential_change(app, as_ann):
    body = new_keys(NEW)

    response = as_ann.put(CREDENTIALS, json=body)

    assert (response.status_code, response.data) == (204, b"")
    assert (opens(app, NEW), opens(app, OLD)) == (200, 401)
    (account,), (key_set,) = rows(app, Account), rows(app, KeySet)
    assert (account.epoch, account.salt) == (2, unb64(body["salt"]))
    assert (key_set.profile_revision, key_set.account_key) == (
        2,
        unb64(body["account_key"]["sealed"]),
    )
    assert key_set.profile == unb64(body["profile"]["sealed"])


def test_other_sessions_end_and_own_session_continues_by_refresh_token(app, as_ann):
    with app.app_context():
        other = factories.session()

    as_ann.put(CREDENTIALS, json=new_keys(NEW))

    client = app.test_client()
    assert client.get(ME, headers=other.headers).status_code == 401
    assert client.post(REFRESH, json={"refresh_token": other.refresh_token}).status_code == 401
    assert as_ann.get(ME).status_code == 401
    renewed = client.post(REFRESH, json={"refresh_token": as_ann.session.refresh_token})
    bearer = {"Authorization": f"Bearer {renewed.json['access_token']}"}
    shown = client.get(ME, headers=bearer)
    assert shown.json["key_set"]["account_key"]["epoch"] == 2
    assert [one.id for one in rows(app, Session)] == [as_ann.session.id]


def test_sessions_of_other_accounts_stay_active(app, as_ann, as_bob):
    as_ann.put(CREDENTIALS, json=new_keys(NEW))

    assert as_bob.get(ME).status_code == 200


@pytest.mark.parametrize(("epoch", "revision"), [(1, 2), (3, 2), (2, 1), (2, 3), (0, 2), (2, 0)])
def test_wrong_epoch_or_profile_revision_is_rejected(app, as_ann, epoch, revision):
    response = as_ann.put(CREDENTIALS, json=new_keys(NEW, epoch=epoch, revision=revision))

    assert (response.status_code, slug(response)) == (412, "precondition-failed")
    assert (response.json["revision"], response.json["epoch"]) == (1, 1)
    assert response.headers["ETag"] == '"1"'
    assert (opens(app, OLD), opens(app, NEW)) == (200, 401)
    assert as_ann.get(ME).status_code == 200


def test_credential_change_without_recent_step_up_returns_403(app, as_ann):
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    response = as_ann.put(CREDENTIALS, json=new_keys(NEW))

    assert (response.status_code, slug(response)) == (403, "step-up-required")


@pytest.mark.parametrize(
    ("change", "status", "problem", "pointer"),
    [
        ({"kdf": {"alg": "argon2id", "m": 65_535, "t": 3, "p": 4}}, 422, "kdf-refused", "/kdf"),
        ({"salt": b64(bytes(32))}, 422, "kdf-refused", "/salt"),
        ({"account_key": {"epoch": 2, "sealed": "x"}}, 422, "not-sealed", "/account_key/sealed"),
        ({"profile": {"revision": 2, "sealed": ""}}, 422, "not-sealed", "/profile/sealed"),
        ({"auth_key": b64(b"n" * 31)}, 400, "bad-request", "/auth_key"),
        ({"extra": 1}, 400, "bad-request", "/extra"),
        ({"rewrap": {}}, 400, "bad-request", "/rewrap/identity"),
    ],
)
def test_invalid_credential_bodies_are_rejected_and_change_nothing(
    app, as_ann, change, status, problem, pointer
):
    response = as_ann.put(CREDENTIALS, json=new_keys(NEW) | change)

    assert (response.status_code, slug(response)) == (status, problem)
    assert pointer in [fault["pointer"] for fault in response.json["errors"]]
    assert opens(app, OLD) == 200


def test_one_of_parallel_credential_changes_succeeds(app, as_ann):
    keys = [bytes([number + 1]) * 32 for number in range(4)]

    def change(number):
        client = app.test_client()
        return client.put(
            CREDENTIALS, json=new_keys(keys[number]), headers=as_ann.session.headers
        ).status_code

    statuses = at_once(change, 4)

    assert sorted(statuses)[0] == 204
    assert set(statuses[1:] + statuses[:1]) <= {204, 401, 412, 503}
    assert statuses.count(204) == 1
    winner = keys[statuses.index(204)]
    assert opens(app, winner) == 200
    assert opens(app, OLD) == 401
    (account,) = rows(app, Account)
    assert account.epoch == 2


def test_recovery_key_stays_without_new_account_key(app, as_ann):
    recovery_key(app, as_ann.account_id)

    as_ann.put(CREDENTIALS, json=new_keys(NEW))

    assert len(rows(app, RecoveryKey)) == 1


def test_new_account_key_replaces_every_wrap_and_ends_recovery_key(app, as_ann):
    with app.app_context():
        vaults = [factories.vault(ANN), factories.vault(ANN)]
        factories.vault("bob@example.org")
    recovery_key(app, as_ann.account_id)
    theirs = {(row.vault_id, row.sealed_key) for row in rows(app, VaultKey)}
    body = new_keys(NEW) | {"rewrap": rewrapped(app, as_ann.account_id)}

    assert as_ann.put(CREDENTIALS, json=body).status_code == 204

    sent = {(one["vault_id"], unb64(one["sealed_key"])) for one in body["rewrap"]["vaults"]}
    stored = {
        (str(row.vault_id), row.sealed_key)
        for row in rows(app, VaultKey)
        if row.holder_id == as_ann.account_id
    }
    assert stored == sent
    assert {vault for vault, _ in sent} == {str(vault.id) for vault in vaults}
    untouched = {(row.vault_id, row.sealed_key) for row in rows(app, VaultKey)} & theirs
    assert len(untouched) == 1
    (key_set,) = [row for row in rows(app, KeySet) if row.account_id == as_ann.account_id]
    assert key_set.x25519_sealed == unb64(body["rewrap"]["identity"]["x25519"]["sealed"])
    assert key_set.ed25519_sealed == unb64(body["rewrap"]["identity"]["ed25519"]["sealed"])
    assert rows(app, RecoveryKey) == []
    events = [event["typ"] for event in factories.events(app)]
    assert events.count("recovery-key.remove") == 1


def left_out(rewrap):
    rewrap["vaults"].pop()


def named_twice(rewrap):
    rewrap["vaults"].append(dict(rewrap["vaults"][0]))


def another_generation(rewrap):
    rewrap["vaults"][0]["generation"] = 2


def unknown_machine(rewrap):
    some_id = rewrap["vaults"][0]["vault_id"]
    rewrap["machines"].append({"id": some_id, "sealed_kek": b64(factories.sealed(32))})


def another_identity(rewrap):
    rewrap["identity"]["x25519"]["public"] = b64(bytes(32))


@pytest.mark.parametrize(
    ("damage", "pointer"),
    [
        (left_out, "/rewrap/vaults"),
        (named_twice, "/rewrap/vaults"),
        (another_generation, "/rewrap/vaults"),
        (unknown_machine, "/rewrap/machines"),
        (another_identity, "/rewrap/identity/x25519/public"),
    ],
)
def test_rewrap_with_wrong_wraps_changes_nothing(app, as_ann, damage, pointer):
    with app.app_context():
        factories.vault(ANN)
        factories.vault(ANN)
    before = {(row.vault_id, row.sealed_key) for row in rows(app, VaultKey)}
    rewrap = rewrapped(app, as_ann.account_id)
    damage(rewrap)

    response = as_ann.put(CREDENTIALS, json=new_keys(NEW) | {"rewrap": rewrap})

    assert (response.status_code, slug(response)) == (409, "conflict")
    assert [fault["pointer"] for fault in response.json["errors"]] == [pointer]
    assert {(row.vault_id, row.sealed_key) for row in rows(app, VaultKey)} == before
    assert (opens(app, OLD), opens(app, NEW)) == (200, 401)


def test_stale_epoch_is_rejected_before_rewrap_is_checked(app, as_ann):
    with app.app_context():
        factories.vault(ANN)
    rewrap = rewrapped(app, as_ann.account_id) | {"vaults": []}

    response = as_ann.put(CREDENTIALS, json=new_keys(NEW, epoch=3) | {"rewrap": rewrap})

    assert response.status_code == 412


def test_credential_change_is_recorded_and_owner_notified(app, as_ann):
    with app.app_context():
        other = factories.session()

    as_ann.put(CREDENTIALS, json=new_keys(NEW))

    events = {event["typ"]: event for event in factories.events(app)}
    assert events["cred.change"]["sub"] == str(as_ann.account_id)
    assert (
        events["cred.change"]["obj"] | {"from": 1, "to": 2, "profile": 2}
        == (events["cred.change"]["obj"])
    )
    assert events["session.end"]["obj"]["ids"] == [str(other.id)]
    (notice,) = emails(app, ANN)
    assert (notice.kind, notice.notice) == ("credentials-changed", True)
