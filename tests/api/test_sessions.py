import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from tests import factories
from tests.harness.outbox import emails
from tests.harness.threads import at_once
from vaultr.auth import sessions
from vaultr.auth.models import Account, RefreshToken, Session
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64, unb64

pytestmark = pytest.mark.both_databases
ME, REFRESH, STEP_UP = "/api/v1/auth/me", "/api/v1/auth/refresh", "/api/v1/auth/step-up"


def refresh(client, token):
    return client.post(REFRESH, json={"refresh_token": token})


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def later(**duration):
    return datetime.now(UTC) + timedelta(**duration)


@pytest.fixture
def session(app):
    with app.app_context():
        return factories.session()


def test_refresh_returns_tokens_of_the_same_session(app, client, session):
    renewed = refresh(client, session.refresh_token)

    assert renewed.status_code == 200
    assert renewed.json.keys() == {"access_token", "expires_in", "refresh_token"}
    assert renewed.json["refresh_token"] != session.refresh_token
    bearer = {"Authorization": f"Bearer {renewed.json['access_token']}"}
    assert client.get(ME, headers=bearer).status_code == 200
    assert [one.id for one in rows(app, Session)] == [session.id]


def test_refresh_tokens_are_stored_as_hashes_and_nonces(app, client, session):
    successor = refresh(client, session.refresh_token).json["refresh_token"]

    stored = {row.token_hash: row.nonce for row in rows(app, RefreshToken)}
    first, second = unb64(session.refresh_token), unb64(successor)
    assert stored.keys() == {hashlib.sha256(first).digest(), hashlib.sha256(second).digest()}
    nonce = stored[hashlib.sha256(first).digest()]
    assert second == hmac.digest(first, nonce, "sha256")


def test_refresh_after_lost_response_returns_the_same_tokens(client, session):
    first = refresh(client, session.refresh_token)

    again = refresh(client, session.refresh_token)

    assert again.status_code == 200
    assert again.json["refresh_token"] == first.json["refresh_token"]


def test_parallel_refreshes_with_one_token_get_one_successor(app, session):
    answers = at_once(lambda _: refresh(app.test_client(), session.refresh_token), 5)

    assert [one.status_code for one in answers] == [200] * 5
    assert len({one.json["refresh_token"] for one in answers}) == 1
    assert len(rows(app, RefreshToken)) == 2


def test_token_reused_after_its_successor_ends_session(app, client, session):
    successor = refresh(client, session.refresh_token).json["refresh_token"]
    newest = refresh(client, successor).json

    reused = refresh(client, session.refresh_token)

    assert reused.status_code == 401
    assert reused.json["type"] == "urn:vaultr:problem:session-ended"
    bearer = {"Authorization": f"Bearer {newest['access_token']}"}
    assert client.get(ME, headers=bearer).status_code == 401
    assert refresh(client, newest["refresh_token"]).status_code == 401
    assert (rows(app, Session), rows(app, RefreshToken)) == ([], [])


def test_token_reused_30_seconds_after_rotation_ends_session(app, client, session, time_machine):
    successor = refresh(client, session.refresh_token).json["refresh_token"]

    time_machine.move_to(later(seconds=31))

    assert refresh(client, session.refresh_token).status_code == 401
    assert refresh(client, successor).status_code == 401
    assert rows(app, Session) == []


def test_token_reuse_is_recorded_and_emailed(app, client, session):
    successor = refresh(client, session.refresh_token).json["refresh_token"]
    refresh(client, successor)

    refresh(client, session.refresh_token)

    event = factories.events(app)[-1]
    assert (event["typ"], event["sub"]) == ("session.reuse", str(session.account_id))
    assert event["sid"] == str(session.id)
    (notice,) = emails(app, "ann@example.org")
    assert (notice.kind, notice.notice) == ("session-reuse", True)


@pytest.mark.parametrize(
    "token", ["", "x", "A" * 43, b64(bytes(range(31))), b64(bytes(range(32))), "é"]
)
def test_malformed_refresh_token_is_rejected_without_event(app, client, session, token):
    response = refresh(client, token)

    assert response.status_code == 401
    assert response.json["type"] == "urn:vaultr:problem:session-ended"
    assert len(rows(app, Session)) == 1
    assert [e["typ"] for e in factories.events(app) if e["typ"].startswith("session")] == []


def test_access_and_refresh_tokens_are_not_interchangeable(client, session):
    bearer = {"Authorization": f"Bearer {session.refresh_token}"}

    assert refresh(client, session.access_token).status_code == 401
    assert client.get(ME, headers=bearer).status_code == 401


def test_session_can_refresh_six_times_a_minute(client, session):
    statuses = [refresh(client, session.refresh_token).status_code for _ in range(7)]

    assert statuses == [200] * 6 + [429]


def test_session_ends_after_14_idle_days(app, client, session, time_machine):
    time_machine.move_to(later(days=14, seconds=1))

    assert refresh(client, session.refresh_token).status_code == 401


def test_used_session_ends_after_30_days(client, session, time_machine):
    token, ends = session.refresh_token, later(days=30)
    for day in (10, 20, 29):
        time_machine.move_to(ends - timedelta(days=30 - day))
        token = refresh(client, token).json["refresh_token"]

    time_machine.move_to(ends + timedelta(seconds=1))

    assert refresh(client, token).status_code == 401


def test_deleted_session_is_rejected_at_next_request(app, client, session):
    assert client.get(ME, headers=session.headers).status_code == 200
    with app.app_context(), transaction() as work:
        work.delete(work.get(Session, session.id))

    assert client.get(ME, headers=session.headers).status_code == 401
    assert refresh(client, session.refresh_token).status_code == 401


def test_token_of_older_epoch_is_rejected_in_live_session(app, client, session):
    with app.app_context(), transaction() as work:
        work.get(Account, session.account_id).epoch = 2

    assert client.get(ME, headers=session.headers).status_code == 401
    renewed = refresh(client, session.refresh_token).json["access_token"]
    bearer = {"Authorization": f"Bearer {renewed}"}
    assert client.get(ME, headers=bearer).status_code == 200


def test_session_of_deleted_account_is_rejected(app, client, session):
    with app.app_context(), transaction() as work:
        work.delete(work.get(Account, session.account_id))

    assert client.get(ME, headers=session.headers).status_code == 401
    assert rows(app, Session) == []


def test_logout_ends_only_this_session(app, client, session):
    with app.app_context():
        other = factories.session()

    response = client.post("/api/v1/auth/logout", headers=session.headers)

    assert (response.status_code, response.data) == (204, b"")
    assert client.get(ME, headers=session.headers).status_code == 401
    assert refresh(client, session.refresh_token).status_code == 401
    assert client.get(ME, headers=other.headers).status_code == 200
    finished = factories.events(app)[-1]
    assert (finished["typ"], finished["sid"]) == ("session.end", str(session.id))


def test_parallel_logouts_end_the_session_once(app, session):
    def logout(_):
        return app.test_client().post("/api/v1/auth/logout", headers=session.headers).status_code

    statuses = at_once(logout, 4)

    assert set(statuses) <= {204, 401}
    assert 204 in statuses
    assert [e["typ"] for e in factories.events(app)].count("session.end") == 1


def test_each_refresh_is_recorded(app, client, session):
    refresh(client, session.refresh_token)

    event = factories.events(app)[-1]
    assert (event["typ"], event["sid"]) == ("session.refresh", str(session.id))


def test_expired_sessions_are_removed_and_others_stay(app, session):
    with app.app_context():
        over = factories.session(name="old")
        factories.change_session(over.id, idle_until=later(seconds=-1))
        assert sessions.remove_expired() is False

    assert [one.id for one in rows(app, Session)] == [session.id]
