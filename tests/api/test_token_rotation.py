"""A refresh rotates a token and records it in one step, or does neither."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import app_fixtures, audit_failures
from tests.harness.sql_recorder import collected
from tests.harness.threads import at_once
from vaultr import request_context
from vaultr.auth import refresh_fast_path
from vaultr.auth.models import RefreshToken, Session
from vaultr.database import prepared_statements, raw_driver
from vaultr.database.session import AUTOCOMMIT, db, transaction

pytestmark = pytest.mark.both_databases
REFRESH, ME = "/api/v1/auth/refresh", "/api/v1/auth/me"


@pytest.fixture
def session(app):
    """A session from the network of the tests' requests."""
    request_context.set_origin(
        replace(request_context.NOWHERE, network="127.0.0.0/24", family="other")
    )
    with app.app_context():
        return factories.session()


def refresh(client, token, **more):
    return client.post(REFRESH, json={"refresh_token": token}, **more)


def rows(app, model):
    with app.app_context(), transaction() as work:
        return work.query(model).all()


def session_events(app):
    return [e for e in factories.events(app) if e["typ"].startswith("session")]


@pytest.mark.parametrize("obstacle", audit_failures.ALL)
def test_refresh_rotates_nothing_if_event_cannot_be_recorded(app, client, session, obstacle):
    with app.app_context(), audit_failures.put(obstacle):
        response = refresh(client, session.refresh_token)

    assert response.status_code == 503
    assert response.json["type"] == "urn:vaultr:problem:audit-unavailable"
    [stored] = rows(app, RefreshToken)
    assert (stored.nonce, stored.rotated_at) == (None, None)
    assert refresh(client, session.refresh_token).status_code == 200


def test_refresh_is_recorded_for_session_and_owner(app, client, session):
    refresh(client, session.refresh_token)

    [event] = session_events(app)
    account = str(session.account_id)
    assert (event["typ"], event["sub"], event["act"]) == ("session.refresh", account, account)
    assert (event["sid"], event["out"]) == (str(session.id), "ok")


def test_usual_refresh_runs_two_statements_on_postgresql(postgres_app, monkeypatch):
    with postgres_app.app_context():
        token = factories.session().refresh_token
    client, run = postgres_app.test_client(), raw_driver.AutocommitConnection.run
    token = refresh(client, token).json["refresh_token"]

    with collected(postgres_app) as ran:

        def note(line, text, values):
            return ran.append(text) or run(line, text, values)

        monkeypatch.setattr(raw_driver.AutocommitConnection, "run", note)
        assert refresh(client, token).status_code == 200

    assert len(ran) == 2


def test_token_lookup_uses_index_after_table_grew(postgres_app):
    """PostgreSQL caches plans; one made for a table of one page is poor for thousands."""
    app_fixtures.empty(postgres_app)
    single = AUTOCOMMIT.get(postgres_app)
    with postgres_app.app_context(), single.connect() as connection:
        factories.session()
        connection.exec_driver_sql("VACUUM ANALYZE accounts, sessions, refresh_tokens")
        connection.exec_driver_sql("DEALLOCATE ALL")
        connection.exec_driver_sql("SET plan_cache_mode = force_generic_plan")
        for text in (refresh_fast_path._FIND_RAW, refresh_fast_path._ROTATE):
            [(name, prepare)] = prepared_statements.plan_of(text).prepare.items()
            connection.exec_driver_sql(prepare.replace("%", "%%"))
            nulls = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", prepare))))
            reported = connection.exec_driver_sql(f"EXPLAIN EXECUTE {name}({nulls})")
            plan = "\n".join(reported.scalars())
            assert "pk_refresh_tokens" in plan
            assert not re.search("Seq Scan|ix_refresh_tokens_session_id", plan), plan
        connection.invalidate()


def test_refresh_changes_no_indexed_column_of_sessions(postgres_app):
    """So PostgreSQL can update the row on its page without touching indexes (HOT)."""
    with postgres_app.app_context():
        held = {c for i in sa.inspect(db.engine).get_indexes("sessions") for c in i["column_names"]}

    assert held == {"account_id"}


def test_refresh_limit_holds_from_all_addresses_together(app, session):
    answers = at_once(lambda _: refresh(app.test_client(), session.refresh_token), 12)

    assert sorted(one.status_code for one in answers) == [200] * 6 + [429] * 6
    rejected = [one for one in answers if one.status_code == 429]
    assert {one.json["type"] for one in rejected} == {"urn:vaultr:problem:rate-limited"}
    assert all(int(one.headers["Retry-After"]) > 0 for one in rejected)
    assert [event["out"] for event in session_events(app)] == ["ok"] * 6


def test_rate_limited_refresh_keeps_token_valid(app, client, session, time_machine):
    token = session.refresh_token
    for _ in range(6):
        token = refresh(client, token).json["refresh_token"]
    assert refresh(client, token).status_code == 429

    time_machine.move_to(datetime.now(UTC) + timedelta(minutes=2))

    assert refresh(client, token).status_code == 200


def test_refresh_extends_idle_end_up_to_absolute_end(app, client, session):
    with app.app_context():
        end = rows(app, Session)[0].expires_at
        factories.change_session(session.id, idle_until=end)

    refresh(client, session.refresh_token)

    [row] = rows(app, Session)
    assert row.idle_until < end
    assert row.last_used_at > row.created_at


def test_refresh_from_another_network_works_and_notifies(app, client, session):
    response = refresh(
        client, session.refresh_token, environ_overrides={"REMOTE_ADDR": "198.51.100.7"}
    )

    assert response.status_code == 200
    assert [e["out"] for e in session_events(app)] == ["ok", "ok:moved"]


def test_parallel_refreshes_get_one_successor(app, session):
    answers = at_once(lambda _: refresh(app.test_client(), session.refresh_token), 6)

    assert {one.status_code for one in answers} == {200}
    assert len({one.json["refresh_token"] for one in answers}) == 1
    assert len(rows(app, RefreshToken)) == 2
    outcomes = [event["out"] for event in session_events(app)]
    assert outcomes == ["ok"] * 6


def test_session_that_ends_during_refresh_gets_no_tokens(app, client, session):
    """Ending the session locks its row first, so a waiting refresh then finds no row."""
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
def test_refresh_with_unknown_outcome_can_be_repeated(postgres_app, monkeypatch, done):
    """The connection ends at the rotation, so nobody knows whether it was done."""
    app_fixtures.empty(postgres_app)
    with postgres_app.app_context():
        session = factories.session()
    client, run = postgres_app.test_client(), raw_driver.AutocommitConnection.run

    def cut(line, text, values):
        if "UPDATE refresh_tokens" not in text:
            return run(line, text, values)
        if done:
            run(line, text, values)
        raise sa.exc.OperationalError(text, None, Exception(), connection_invalidated=True)

    monkeypatch.setattr(raw_driver.AutocommitConnection, "run", cut)
    assert refresh(client, session.refresh_token).status_code == 503
    monkeypatch.setattr(raw_driver.AutocommitConnection, "run", run)

    again = refresh(client, session.refresh_token)

    assert again.status_code == 200
    assert refresh(client, again.json["refresh_token"]).status_code == 200
    assert len(rows(postgres_app, RefreshToken)) == 3
