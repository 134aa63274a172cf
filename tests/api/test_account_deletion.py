"""Deleting an account removes everything that it owns, even while other requests write to it."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import account_recovery, app_fixtures
from tests.harness.key_replacement import new_keys
from tests.harness.outbox import emails, tokens
from tests.harness.threads import at_once
from vaultr.audit.models import AuditEvent
from vaultr.database.session import db, transaction
from vaultr.protocol.encoding import b64
from vaultr.vault import vault_deletion

pytestmark = pytest.mark.both_databases
AUTH = "/api/v1/auth"
ACCOUNT, ANN, BOB = f"{AUTH}/account", "ann@example.org", "bob@example.org"
HASHING = {"credentials", "step-up", "login"}
# Tables whose rows belong to no account, or to the next owner of an address.
STAY = {"audit_event", "audit_pending", "mails", "facts", "login_failures"}


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def rows(app):
    """Count the rows of all tables."""
    with app.app_context(), transaction() as work:
        tables = db.metadata.sorted_tables
        counts = {
            one.name: work.execute(sa.select(sa.func.count()).select_from(one)).scalar_one()
            for one in tables
        }
    return {name: count for name, count in counts.items() if count and name not in STAY}


def filled(app, email):
    """Store a row of an account in every table that can have one."""
    with app.app_context():
        vault = factories.vault(email)
        item = factories.item(vault)
        vault.put(item.id, text="again")
    account_recovery.begun(app, email)
    with app.app_context():
        session = factories.session(factories.owner(email))
    client = app.test_client()
    requested = {"email": f"new-{email}"}
    headers = session.headers | {"Idempotency-Key": "once"}
    assert client.post(f"{AUTH}/email", json=requested, headers=headers).status_code == 202
    return session


def test_account_deletion_removes_own_data_and_keeps_other_accounts(app):
    filled(app, BOB)
    before = rows(app)
    session = filled(app, ANN)

    response = app.test_client().delete(ACCOUNT, headers=session.headers)

    assert (response.status_code, response.data) == (204, b"")
    assert rows(app) == before


def test_audit_events_remain_and_record_the_account_deletion(app, as_ann):
    with app.app_context():
        factories.item(factories.vault(ANN))
    with app.app_context(), transaction() as work:
        count = work.query(AuditEvent).count()

    as_ann.delete(ACCOUNT)

    events = factories.events(app)
    assert len(events) > count
    assert (events[-1]["typ"], events[-1]["sub"]) == ("account.delete", str(as_ann.account_id))
    assert emails(app, ANN)[-1].kind == "account-deleted"


def test_email_address_is_unknown_after_account_deletion(app, as_ann, client):
    as_ann.delete(ACCOUNT)

    assert as_ann.get(f"{AUTH}/me").status_code == 401
    assert client.post(f"{AUTH}/login", json=factories.login(ANN)).status_code == 401
    refresh = {"refresh_token": as_ann.session.refresh_token}
    assert client.post(f"{AUTH}/refresh", json=refresh).status_code == 401
    prelogin = client.post(f"{AUTH}/prelogin", json={"email": ANN}).json
    assert prelogin["account_id"] != str(as_ann.account_id)
    client.post(f"{AUTH}/signup", json=factories.signup(ANN))
    assert emails(app, ANN)[-1].kind == "verify-email"


def test_id_of_deleted_account_is_not_reused(app, as_ann, client):
    """While the account existed, prelogin showed its id to anybody."""
    same = {"account_id": str(as_ann.account_id)}
    client.post(f"{AUTH}/signup", json=factories.signup("eve@example.org", **same))
    assert as_ann.delete(ACCOUNT).status_code == 204

    later = client.post(f"{AUTH}/signup", json=factories.signup("eve@example.org", **same))

    assert later.status_code == 202
    assert emails(app, "eve@example.org") == []


def test_pending_signup_does_not_reuse_id_of_deleted_account(app, client):
    same = factories.uuid4()
    client.post(f"{AUTH}/signup", json=factories.signup("eve@example.org", account_id=str(same)))
    client.post(f"{AUTH}/signup", json=factories.signup(account_id=str(same)))
    (of_eve,), (of_ann,) = (tokens(app, f"{name}@example.org") for name in ("eve", "ann"))
    assert client.post(f"{AUTH}/verify-email", json={"token": of_ann}).status_code == 204
    access = client.post(f"{AUTH}/login", json=factories.login()).json["access_token"]
    bearer = {"Authorization": f"Bearer {access}"}
    assert client.delete(ACCOUNT, headers=bearer).status_code == 204

    assert client.post(f"{AUTH}/verify-email", json={"token": of_eve}).status_code == 400


def test_deletion_without_recent_step_up_returns_403(app, as_ann):
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    response = as_ann.delete(ACCOUNT)

    assert (response.status_code, slug(response)) == (403, "step-up-required")
    assert as_ann.get(f"{AUTH}/me").status_code == 200


def test_one_of_parallel_deletions_succeeds(app, as_ann):
    def delete(_):
        return app.test_client().delete(ACCOUNT, headers=as_ann.session.headers).status_code

    assert sorted(at_once(delete, 4)) == [204, 401, 401, 401]
    assert [event["typ"] for event in factories.events(app)].count("account.delete") == 1


def test_large_vault_is_deleted_in_steps(app, as_ann, monkeypatch):
    monkeypatch.setattr(vault_deletion, "REVISIONS_A_STEP", 2)
    with app.app_context():
        vault = factories.vault(ANN)
        for _ in range(5):
            factories.item(vault)

    assert as_ann.delete(ACCOUNT).status_code == 204

    assert rows(app) == {}


def writers(vault):
    """Return requests that write to all parts of an account; each takes its own client session."""
    sealed = b64(factories.sealed(60))
    profile = {"revision": 2, "sealed": b64(factories.sealed(500))}
    proof = {"auth_key": b64(factories.auth_key(ANN))}
    new_vault = {"id": str(uuid4()), "sealed_key": sealed, "overview": sealed}
    put, rename = vault.put_request(), vault.rename_request("other")
    return {
        "put": lambda c: c.open(put.path, method=put.method, json=put.body, headers=put.headers),
        "rename": lambda c: c.open(rename.path, method=rename.method, json=rename.body),
        "new vault": lambda c: c.post("/api/v1/vaults", json=new_vault),
        "delete vault": lambda c: c.delete(vault.path),
        "refresh": lambda c: c.post(
            f"{AUTH}/refresh", json={"refresh_token": c.session.refresh_token}
        ),
        "profile": lambda c: c.put(f"{AUTH}/profile", json=profile, headers={"If-Match": '"1"'}),
        "credentials": lambda c: c.put(f"{AUTH}/credentials", json=new_keys(b"n" * 32)),
        "step-up": lambda c: c.post(f"{AUTH}/step-up", json=proof),
        "email": lambda c: c.post(f"{AUTH}/email", json={"email": "new@example.org"}),
        "logout": lambda c: c.post(f"{AUTH}/logout"),
        "logout-all": lambda c: c.post(f"{AUTH}/logout-all"),
        "totp": lambda c: c.post(f"{AUTH}/totp"),
        "recover": lambda c: c.post(f"{AUTH}/recover", json={"email": ANN}),
        "login": lambda c: c.post(f"{AUTH}/login", json=factories.login(ANN)),
    }


def test_deletion_during_writes_causes_no_deadlock_and_removes_all_rows(app, count):
    for _ in range(count(2, many=40)):
        with app.app_context():
            vault = factories.vault(ANN)
        doers = list(writers(vault).items())
        clients = [app_fixtures.signed_in(app, ANN) for _ in range(len(doers) + 1)]

        def do(number, doers=doers, clients=clients):
            if number == len(doers):
                return clients[number].delete(ACCOUNT)
            return doers[number][1](clients[number])

        *answers, deleted = at_once(do, len(doers) + 1)

        reported = {name: one.status_code for (name, _), one in zip(doers, answers, strict=True)}
        assert {name: status for name, status in reported.items() if status == 500} == {}
        # Requests that compute a hash may get "busy" from a full queue; no other request may.
        assert {name for name, status in reported.items() if status == 503} <= HASHING
        if deleted.status_code == 401:  # another request ended its session first
            with app.app_context():
                session = factories.session(factories.owner(ANN))
            deleted = app.test_client().delete(ACCOUNT, headers=session.headers)
        assert deleted.status_code == 204
        left = rows(app)
        left.pop("recoveries", None)  # of an address without an account
        assert left == {}
        app_fixtures.empty(app)
