"""Owners list the sessions of their account, and end any of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests import factories
from tests.harness.threads import at_once
from vaultr.auth.models import Session
from vaultr.database.session import transaction

SESSIONS, ME, ALL = "/api/v1/auth/sessions", "/api/v1/auth/me", "/api/v1/auth/logout-all"
LOGIN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/refresh"
ANN = "ann@example.org"


def another(app, name="phone"):
    with app.app_context():
        return factories.session(name=name)


def end_events(app):
    return [event for event in factories.events(app) if event["typ"] == "session.end"]


def test_session_list_shows_device_and_coarse_network(app, as_ann):
    address = {"REMOTE_ADDR": "203.0.113.77"}
    app.test_client().post(
        LOGIN, json=factories.login(ANN), environ_base=address, headers={"User-Agent": "curl/8"}
    )

    shown = as_ann.get(SESSIONS).json

    assert shown.keys() == {"sessions", "next_cursor"}
    newest, own = shown["sessions"]
    assert (newest["device_name"], newest["client"], newest["address"], newest["current"]) == (
        "laptop", "curl", "203.0.113.0/24", False
    )  # fmt: skip
    assert (UUID(own["id"]), own["current"]) == (as_ann.session.id, True)
    assert own.keys() == {
        "id", "device_name", "client", "address", "created_at", "last_used_at", "current"
    }  # fmt: skip


def test_refresh_counts_as_use(app, as_ann, time_machine):
    time_machine.move_to(datetime.now(UTC) + timedelta(minutes=5))
    client = app.test_client()
    renewed = client.post(REFRESH, json={"refresh_token": as_ann.session.refresh_token}).json
    bearer = {"Authorization": f"Bearer {renewed['access_token']}"}

    (own,) = client.get(SESSIONS, headers=bearer).json["sessions"]

    assert own["last_used_at"] > own["created_at"]


def test_foreign_and_expired_sessions_are_not_listed(app, as_ann, as_bob):
    over = another(app)
    with app.app_context():
        factories.change_session(over.id, idle_until=datetime.now(UTC) - timedelta(seconds=1))

    assert len(as_ann.get(SESSIONS).json["sessions"]) == 1


def test_pages_contain_each_session_once(app, as_ann):
    others = {str(another(app).id) for _ in range(4)}

    found, cursor = [], None
    while cursor or not found:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = as_ann.get(SESSIONS, query_string=query).json
        found += page["sessions"]
        cursor = page["next_cursor"]

    assert [one["id"] for one in found][-1] == str(as_ann.session.id)
    assert {one["id"] for one in found} == others | {str(as_ann.session.id)}
    assert len(found) == 5


def test_session_cursor_of_another_account_is_rejected(app, as_ann, as_bob):
    another(app)
    cursor = as_ann.get(SESSIONS, query_string={"limit": 1}).json["next_cursor"]

    for query in ({"cursor": cursor}, {"cursor": "x"}, {"limit": 0}, {"limit": 201}):
        assert as_bob.get(SESSIONS, query_string=query).status_code == 400


def test_revoked_session_is_rejected_at_next_request(app, as_ann):
    other = another(app)

    response = as_ann.delete(f"{SESSIONS}/{other.id}")

    assert (response.status_code, response.data) == (204, b"")
    client = app.test_client()
    assert client.get(ME, headers=other.headers).status_code == 401
    assert client.post(REFRESH, json={"refresh_token": other.refresh_token}).status_code == 401
    assert as_ann.get(ME).status_code == 200
    (event,) = end_events(app)
    assert (event["obj"]["id"], event["sid"]) == (str(other.id), str(as_ann.session.id))


def test_own_session_can_be_revoked_by_id(as_ann):
    assert as_ann.delete(f"{SESSIONS}/{as_ann.session.id}").status_code == 204
    assert as_ann.get(ME).status_code == 401


def test_missing_and_foreign_sessions_get_same_error(app, as_ann, as_bob):
    gone = another(app)
    as_ann.delete(f"{SESSIONS}/{gone.id}")
    over = another(app)
    with app.app_context():
        factories.change_session(over.id, idle_until=datetime.now(UTC) - timedelta(seconds=1))

    answers = [
        as_ann.delete(f"{SESSIONS}/{one}")
        for one in (as_bob.session.id, gone.id, over.id, UUID(int=1))
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json["type"] for answer in answers} == {"urn:vaultr:problem:not-found"}
    (reported,) = {answer.json["detail"] for answer in answers}
    assert "session" in reported
    assert as_bob.get(ME).status_code == 200


def test_one_of_parallel_revocations_succeeds(app, as_ann):
    other = another(app)

    def revoke(_):
        client = app.test_client()
        path = f"{SESSIONS}/{other.id}"
        return client.delete(path, headers=as_ann.session.headers).status_code

    assert sorted(at_once(revoke, 4)) == [204, 404, 404, 404]
    assert len(end_events(app)) == 1


def test_logout_all_ends_every_session_of_this_account(app, as_ann, as_bob):
    others = [another(app) for _ in range(2)]

    response = as_ann.post(ALL)

    assert response.status_code == 204
    assert as_ann.get(ME).status_code == 401
    client = app.test_client()
    assert {client.get(ME, headers=one.headers).status_code for one in others} == {401}
    assert as_bob.get(ME).status_code == 200
    (event,) = end_events(app)
    assert event["obj"]["ids"] == sorted(
        str(one) for one in (as_ann.session.id, *(other.id for other in others))
    )


def test_logout_all_needs_recent_step_up(app, as_ann):
    with app.app_context():
        factories.grow_stale(as_ann.session.id)

    response = as_ann.post(ALL)

    assert response.status_code == 403
    assert response.json["type"] == "urn:vaultr:problem:step-up-required"
    assert as_ann.get(ME).status_code == 200


@pytest.mark.parametrize("logins", [3])
def test_logins_during_logout_all_are_serialised(app, as_ann, logins):
    def do(number):
        client = app.test_client()
        if number == 0:
            return client.post(ALL, headers=as_ann.session.headers)
        return client.post(LOGIN, json=factories.login(ANN))

    out, *signed_in = at_once(do, logins + 1)

    assert out.status_code == 204
    assert {one.status_code for one in signed_in} <= {200, 503}
    reported = set(end_events(app)[0]["obj"]["ids"])
    with app.app_context(), transaction() as work:
        alive = {str(one.id) for one in work.query(Session)}
    assert alive & reported == set()
    assert len(alive | reported) == 1 + sum(one.status_code == 200 for one in signed_in)
