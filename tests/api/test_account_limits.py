"""Limits that all sessions of one account share."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import second_factors, sql_recorder
from tests.harness.key_replacement import new_keys
from tests.harness.outbox import emails
from vaultr import clock
from vaultr.auth import known_devices, service
from vaultr.auth.models import KnownDevice, RefreshToken, Session
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

ME = "/api/v1/auth/me"
PROFILE = "/api/v1/auth/profile"
NEW = b"n" * 32


@pytest.fixture
def sessions(app):
    """Four sessions of one account."""
    with app.app_context():
        owner = factories.owner("ann@example.org")
        return [factories.session(owner) for _ in range(4)]


def test_account_read_limit_is_three_times_the_sessions(app, sessions, set_to):
    set_to(app, limit_reads="2/3600")
    client = app.test_client()

    statuses = [
        client.get(ME, headers=session.headers).status_code
        for session in sessions
        for _ in range(2)
    ]

    assert statuses == [200] * 6 + [429] * 2


def test_account_route_that_writes_is_limited_as_write(app, sessions, set_to):
    set_to(app, limit_writes="1/3600")
    client = app.test_client()

    answers = [
        client.put(PROFILE, json={}, headers=sessions[0].headers),
        client.put(PROFILE, json={}, headers=sessions[0].headers),
        client.get(ME, headers=sessions[0].headers),
    ]

    assert [one.status_code for one in answers] == [400, 429, 200]


def test_session_over_its_limit_costs_no_statement(app, sessions, set_to):
    set_to(app, limit_reads="1/3600")
    client, headers = app.test_client(), sessions[0].headers
    first = [client.get(ME, headers=headers) for _ in range(2)]

    with sql_recorder.collected(app) as ran:
        response = client.get(ME, headers=headers)

    assert [one.status_code for one in (*first, response)] == [200, 429, 429]
    assert response.headers["RateLimit-Limit"] == "1"
    assert int(response.headers["Retry-After"]) >= 1
    assert ran == []


# --- emails ---


def test_email_change_over_account_limit_returns_429(app, as_ann, set_to):
    set_to(app, limit_mail_account="2/3600")

    answers = [
        as_ann.post("/api/v1/auth/email", json={"email": f"new{n}@example.org"}) for n in range(3)
    ]

    assert [one.status_code for one in answers] == [202, 202, 429]
    assert emails(app, "new2@example.org") == []


# --- sessions and devices ---


def sessions_left(app):
    with app.app_context(), transaction() as work:
        return set(work.scalars(sa.select(Session.id)))


def devices_left(app):
    with app.app_context(), transaction() as work:
        return work.scalar(sa.select(sa.func.count()).select_from(KnownDevice))


def test_login_over_quota_ends_longest_idle_session(app, sessions, set_to):
    set_to(app, quota_sessions=4)
    with app.app_context(), transaction() as work:
        work.get(Session, sessions[2].id).last_used_at -= known_devices.UNUSED

    with app.app_context():
        new = factories.session(factories.owner("ann@example.org"))

    assert sessions_left(app) == {one.id for one in (*sessions, new)} - {sessions[2].id}
    [finished] = [event for event in factories.events(app) if event["typ"] == "session.end"]
    assert (finished["obj"]["id"], finished["out"]) == (str(sessions[2].id), "ok:too-many-sessions")


def test_login_over_quota_deletes_a_known_device(app, set_to):
    set_to(app, quota_devices=2)
    first = uuid4()
    with app.app_context():
        owner = factories.owner("ann@example.org")
        for device_id in (first, uuid4(), uuid4()):
            factories.session(owner, device_id=device_id)

    assert devices_left(app) == 2


def test_devices_unused_for_a_year_are_deleted(app, as_ann):
    with app.app_context():
        factories.session(factories.owner("ann@example.org"))
    with app.app_context(), transaction() as work:
        device = work.scalars(sa.select(KnownDevice)).first()
        device.last_used_at = clock.now() - known_devices.UNUSED - clock.now().resolution

    with app.app_context():
        for chore in service.PURGES:
            chore.remove()

    assert devices_left(app) == 1


def test_new_password_deletes_all_known_devices(app, as_ann):
    assert devices_left(app) == 1

    response = as_ann.put("/api/v1/auth/credentials", json=new_keys(NEW))

    assert response.status_code == 204
    assert devices_left(app) == 0


def test_second_factor_deletes_all_known_devices(app, as_ann):
    assert devices_left(app) == 1

    second_factors.confirmed(as_ann)

    assert devices_left(app) == 0


def test_session_over_refresh_quota_ends(app, sessions, set_to):
    set_to(app, quota_refreshes=2)
    with app.app_context():
        with transaction() as work:
            row = {"session_id": sessions[1].id, "created_at": clock.now()}
            work.add_all(RefreshToken(token_hash=bytes([n]) * 32, **row) for n in range(2))
        for rule in service.PURGES:
            rule.remove()

    assert sessions_left(app) == {one.id for one in sessions} - {sessions[1].id}
    [ended] = [event for event in factories.events(app) if event["typ"] == "session.end"]
    assert (ended["obj"]["id"], ended["out"]) == (str(sessions[1].id), "ok:too-many-refreshes")


# --- hashes ---


def test_sessions_of_an_account_share_ten_hashes_a_minute(app, sessions, set_to):
    set_to(app, limit_hashes="2/60")
    client, proof = app.test_client(), {"auth_key": b64(factories.auth_key("ann@example.org"))}

    statuses = [
        client.post("/api/v1/auth/step-up", json=proof, headers=session.headers).status_code
        for session in sessions[:3]
    ]

    assert statuses == [204, 204, 429]


def test_credentials_with_wrong_epoch_are_rejected_before_hashing(app, as_ann, monkeypatch):
    hashed = []
    monkeypatch.setattr("vaultr.auth.password_hashing._compute", hashed.append)
    keys = new_keys(NEW)
    keys["account_key"]["epoch"] += 1

    response = as_ann.put("/api/v1/auth/credentials", json=keys)

    assert (response.status_code, hashed) == (412, [])
