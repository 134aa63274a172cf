"""`flask accounts unlock`: an operator sees and ends a lockout, and gets no access."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from vaultr import request_context
from vaultr.auth import login_throttle
from vaultr.auth.models import Failures
from vaultr.database.session import transaction

pytestmark = pytest.mark.both_databases
LOGIN, STEP_UP = "/api/v1/auth/login", "/api/v1/auth/step-up"
WRONG = b"w" * 32
WAYS = {"devices never seen", "a known device", "a session", "recovery"}


@pytest.fixture
def run(app):
    def call(*arguments, **more):
        request_context.set_actor(None)  # a command's process has served no requests before
        request_context.set_origin(request_context.NOWHERE)
        return app.test_cli_runner().invoke(args=["accounts", *arguments], **more)

    return call


def locked_out(app, client, device_id):
    """Lock the account for unknown devices, a known device, and the step-up of a session."""
    session = client.post(LOGIN, json=factories.login(device_id=device_id)).json
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    wrong = factories.login(key=WRONG)
    client.post(LOGIN, json=wrong)
    client.post(LOGIN, json=factories.login(key=WRONG, device_id=device_id))
    client.post(STEP_UP, json={"auth_key": wrong["auth_key"]}, headers=bearer)
    with app.app_context(), transaction() as work:
        work.execute(sa.update(Failures).values(failures=99))
    client.post(LOGIN, json=wrong)
    client.post(LOGIN, json=factories.login(key=WRONG, device_id=device_id))
    client.post(STEP_UP, json={"auth_key": wrong["auth_key"]}, headers=bearer)
    return bearer


@pytest.mark.parametrize("by", ["ann@example.org", " ANN@Example.org", "id", "-"])
@pytest.mark.matrix(4)
def test_unlocked_account_can_log_in_immediately(app, client, run, by):
    with app.app_context():
        account = factories.account("ann@example.org")
    mine = uuid4()
    bearer = locked_out(app, client, mine)
    right = factories.login()
    proof = {"auth_key": right["auth_key"]}
    assert client.post(LOGIN, json=right).json["type"].endswith(":locked")
    assert client.post(LOGIN, json=factories.login(device_id=mine)).json["type"].endswith(":locked")
    assert client.post(STEP_UP, json=proof, headers=bearer).json["type"].endswith(":locked")

    done = run("unlock", str(account.id) if by == "id" else by, input="ann@example.org\n")

    assert (done.exit_code, done.output) == (0, f"unlocked: {account.id}\n")
    assert client.post(LOGIN, json=right).status_code == 200
    assert client.post(LOGIN, json=factories.login(device_id=mine)).status_code == 200
    assert client.post(STEP_UP, json=proof, headers=bearer).status_code == 204


def test_unlocking_one_account_leaves_the_others_locked(app, client, run):
    with app.app_context():
        account = factories.account("ann@example.org")
        factories.account("bob@example.org")
    for email in ("ann@example.org", "bob@example.org"):
        for _ in range(5):
            client.post(LOGIN, json=factories.login(email, key=WRONG))

    done = run("unlock", "ann@example.org", "--json")

    assert json.loads(done.output) == {"account_id": str(account.id), "count": 1, "dry_run": False}
    assert client.post(LOGIN, json=factories.login("ann@example.org")).status_code == 200
    assert client.post(LOGIN, json=factories.login("bob@example.org")).status_code == 429


def test_unlock_resets_failed_recovery_attempts(app, run):
    with app.app_context():
        account = factories.account("ann@example.org")
        counter = login_throttle.read_counter(login_throttle.recovery_counter(account.id))
        with app.test_request_context(), login_throttle.count_attempt(counter) as attempt:
            login_throttle.record_failure(attempt, account.id)

    done = run("unlock", "ann@example.org", "--json")

    assert json.loads(done.output)["count"] == 1


def shown(run):
    return json.loads(run("show", "ann@example.org", "--json").output)


def guess(client, **more):
    return client.post(LOGIN, json=factories.login(**more)).status_code


def test_used_up_counter_is_shown_until_next_allowed_attempt(app, client, run, time_machine):
    with app.app_context():
        factories.account("ann@example.org")
    noon = datetime(2031, 5, 4, 12, 0, 0, 250_000, tzinfo=UTC)
    time_machine.move_to(noon, tick=False)
    assert [guess(client, key=WRONG) for _ in range(4)] == [401] * 4
    assert shown(run)["used_up"] == []
    assert guess(client, key=WRONG) == 401

    reported = shown(run)

    assert reported["locks"] == []
    assert reported["used_up"] == [
        {
            "counter": "devices never seen",
            "limit": "5/900",
            "next_attempt_at": "2031-05-04T12:15:01.000000Z",
        }
    ]
    time_machine.move_to(noon + timedelta(seconds=900), tick=False)
    assert (guess(client), shown(run)) == (429, reported)
    time_machine.move_to(noon + timedelta(seconds=900.75), tick=False)
    assert shown(run)["used_up"] == []
    assert guess(client) == 200


def test_unlock_resets_everything_reported_as_used_up(app, client, run, set_to):
    set_to(app, limit_login_address="100/900")
    with app.app_context():
        account = factories.account("ann@example.org")
    mine = uuid4()
    session = client.post(LOGIN, json=factories.login(device_id=mine)).json
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    right, wrong = (
        {"auth_key": factories.login(**more)["auth_key"]} for more in ({}, {"key": WRONG})
    )
    for _ in range(5):
        assert guess(client, key=WRONG) == 401
        assert guess(client, key=WRONG, device_id=mine) == 401
        assert client.post(STEP_UP, json=wrong, headers=bearer).status_code == 403
        with app.test_request_context():
            counter = login_throttle.read_counter(login_throttle.recovery_counter(account.id))
            with login_throttle.count_attempt(counter) as attempt:
                login_throttle.record_failure(attempt, account.id)
    assert {one["counter"] for one in shown(run)["used_up"]} == WAYS
    text = run("show", "ann@example.org").output
    assert "used up        a known device: 5 attempts in 900 s; next attempt at 20" in text
    assert f"flask accounts unlock {account.id}" in text

    assert run("unlock", "ann@example.org").exit_code == 0

    assert shown(run)["used_up"] == []
    assert "accounts unlock" not in run("show", "ann@example.org").output
    assert (guess(client), guess(client, device_id=mine)) == (200, 200)
    assert client.post(STEP_UP, json=right, headers=bearer).status_code == 204


@pytest.mark.parametrize(("limit", "used_up"), [("5/900", 0), ("5/86400", 1)])
@pytest.mark.matrix(2)
def test_locked_counter_is_used_up_only_if_window_exceeds_lockout(
    app, client, run, set_to, time_machine, limit, used_up
):
    set_to(app, limit_login_account=limit)
    with app.app_context():
        factories.account("ann@example.org")
    noon = datetime(2031, 5, 4, 12, tzinfo=UTC)
    time_machine.move_to(noon, tick=False)
    for _ in range(4):
        guess(client, key=WRONG)
    with app.app_context(), transaction() as work:
        work.execute(sa.update(Failures).values(failures=99))
    time_machine.move_to(noon + timedelta(minutes=1), tick=False)
    guess(client, key=WRONG)

    reported = shown(run)

    assert (len(reported["locks"]), len(reported["used_up"])) == (1, used_up)


def test_unlocking_is_recorded(app, run):
    with app.app_context():
        account = factories.account("ann@example.org")

    run("unlock", "ann@example.org")

    [events] = [event for event in factories.events(app) if event["typ"] == "auth.unlock"]
    assert (events["act"], events["sub"], events["out"]) == (
        "system",
        str(account.id),
        "ok:operator",
    )


@pytest.mark.parametrize("who", ["nobody@example.org", str(UUID(int=1)), "ann", "", "%"])
def test_unlock_of_unknown_account_exits_1(app, run, who):
    done = run("unlock", who)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: No account has this id or email address.\n"
    assert [event["typ"] for event in factories.events(app) if "unlock" in event["typ"]] == []
