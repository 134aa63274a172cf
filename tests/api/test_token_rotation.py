"""A refresh rotates a token and records it in one step, or does neither, whatever is in the way."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from tests import audit_obstacles, factories, serving
from tests.concurrency import at_once
from tests.statements import collected
from vaultr import actor
from vaultr.auth.models import RefreshToken, Session
from vaultr.database import bare
from vaultr.database.session import transaction

REFRESH, ME = "/api/v1/auth/refresh", "/api/v1/auth/me"


@pytest.fixture
def session(app):
    """A session that was opened from where the tests' requests come from."""
    actor.set_origin(replace(actor.NOWHERE, network="127.0.0.0/24", family="other"))
    with app.app_context():
        return factories.session()


def refresh(client, token, **more):
    return client.post(REFRESH, json={"refresh_token": token}, **more)


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def told(app):
    return [e for e in factories.events(app) if e["typ"].startswith("session")]


@pytest.mark.parametrize("obstacle", audit_obstacles.ALL)
def test_a_refresh_that_cannot_be_recorded_rotates_nothing(app, client, session, obstacle):
    with app.app_context(), audit_obstacles.put(obstacle):
        response = refresh(client, session.refresh_token)

    assert response.status_code == 503
    assert response.json["type"] == "urn:vaultr:problem:audit-unavailable"
    [kept] = rows(app, RefreshToken)
    assert (kept.nonce, kept.rotated_at) == (None, None)
    assert refresh(client, session.refresh_token).status_code == 200


def test_a_refresh_is_recorded_for_its_session_and_its_owner(app, client, session):
    refresh(client, session.refresh_token)

    [event] = told(app)
    account = str(session.account_id)
    assert (event["typ"], event["sub"], event["act"]) == ("session.refresh", account, account)
    assert (event["sid"], event["out"]) == (str(session.id), "ok")


def test_the_usual_refresh_is_two_statements_on_postgresql(postgres_app, monkeypatch):
    with postgres_app.app_context():
        token = factories.session().refresh_token
    client, run = postgres_app.test_client(), bare.run
    token = refresh(client, token).json["refresh_token"]

    with collected(postgres_app) as ran:
        monkeypatch.setattr(bare, "run", lambda text, values: ran.append(text) or run(text, values))
        assert refresh(client, token).status_code == 200

    assert len(ran) == 2


def test_a_refresh_moves_the_idle_end_but_never_past_the_absolute_one(app, client, session):
    with app.app_context():
        end = rows(app, Session)[0].expires_at
        factories.change_session(session.id, idle_until=end)

    refresh(client, session.refresh_token)

    [row] = rows(app, Session)
    assert row.idle_until < end
    assert row.last_used_at > row.created_at


def test_a_refresh_from_another_network_goes_on_and_is_told(app, client, session):
    response = refresh(
        client, session.refresh_token, environ_overrides={"REMOTE_ADDR": "198.51.100.7"}
    )

    assert response.status_code == 200
    assert [e["out"] for e in told(app)] == ["ok", "ok:moved"]


def test_of_parallel_refreshes_all_get_one_successor_and_one_is_made(app, session):
    answers = at_once(lambda _: refresh(app.test_client(), session.refresh_token), 6)

    assert {one.status_code for one in answers} == {200}
    assert len({one.json["refresh_token"] for one in answers}) == 1
    assert len(rows(app, RefreshToken)) == 2
    outcomes = [event["out"] for event in told(app)]
    assert outcomes == ["ok"] * 6


def test_a_session_that_ends_meanwhile_is_not_refreshed(app, client, session):
    """The row is locked by whoever ends it, and gone when the refresh gets its turn."""
    bearer = {"Authorization": f"Bearer {session.access_token}"}

    def act(number):
        if number:
            return refresh(app.test_client(), session.refresh_token).status_code
        return app.test_client().post("/api/v1/auth/logout", headers=bearer).status_code

    logout, refreshed = at_once(act, 2)

    assert logout == 204
    assert refreshed in (200, 401)
    assert rows(app, Session) == []
    assert client.get(ME, headers=bearer).status_code == 401


@pytest.mark.parametrize("done", [True, False])
def test_a_refresh_whose_outcome_was_lost_can_be_sent_again(postgres_app, monkeypatch, done):
    """The connection ends at the rotation: whether it was done, nobody was told."""
    serving.empty(postgres_app)
    with postgres_app.app_context():
        session = factories.session()
    client, run = postgres_app.test_client(), bare.run

    def cut(text, values):
        if "UPDATE refresh_tokens" not in text:
            return run(text, values)
        if done:
            run(text, values)
        raise sa.exc.OperationalError(text, None, Exception(), connection_invalidated=True)

    monkeypatch.setattr(bare, "run", cut)
    assert refresh(client, session.refresh_token).status_code == 503
    monkeypatch.setattr(bare, "run", run)

    again = refresh(client, session.refresh_token)

    assert again.status_code == 200
    assert refresh(client, again.json["refresh_token"]).status_code == 200
    assert len(rows(postgres_app, RefreshToken)) == 3
