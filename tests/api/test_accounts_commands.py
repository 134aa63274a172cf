"""`flask accounts`: an operator's actions on accounts, with name, dry run and confirmation."""

import json
import threading

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness import outbox
from tests.harness.second_factors import confirmed
from tests.harness.threads import at_once
from vaultr.auth.models import Account, Factor, RecoveryCode, Session, WaitingSignup
from vaultr.database.session import db

LOGIN, SIGNUP, ME = "/api/v1/auth/login", "/api/v1/auth/signup", "/api/v1/auth/me"
DESTROYING = ("reset-factors", "delete")
DOING = ("lock", "unlock", "logout", *DESTROYING)


@pytest.fixture
def flask(app):
    """``flask("lock", "ann@example.org")``: run a command as operator olga; return its result."""

    def run(command, *arguments, stdin=None):
        named = () if command in ("list", "show") else ("--by", "olga")
        provided = ["accounts", command, *arguments, *named]
        return app.test_cli_runner().invoke(args=provided, input=stdin)

    return run


@pytest.fixture
def ann(app):
    with app.app_context():
        return factories.account()


def rows(app, model):
    with app.app_context(), db.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(model)).scalar_one()


def recorded(app):
    """List recorded actions of operators as (action, operator, account)."""
    events = [event for event in factories.events(app) if event["typ"] == "admin.account"]
    return [(one["obj"]["action"], one["obj"]["operator"], one["sub"]) for one in events]


def sign_in(client, **more):
    return client.post(LOGIN, json=factories.login(**more))


# --- lock, unlock, logout ---


def test_operator_lock_blocks_every_device_and_password_until_unlock(app, client, ann, flask):
    device = factories.uuid4()
    session = sign_in(client, device_id=device).json

    done = flask("lock", "ann@example.org")

    assert done.exit_code == 0
    assert done.stdout == f"locked, 1 sessions ended: {ann.id}\n"
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    assert client.get(ME, headers=bearer).status_code == 401
    for more in ({"device_id": device}, {}, {"key": bytes(32)}):
        rejected = sign_in(client, **more)
        assert (rejected.status_code, rejected.json["type"][19:]) == (429, "locked")
    assert flask("unlock", "ann@example.org").exit_code == 0
    assert sign_in(client, device_id=device).status_code == 200
    assert recorded(app) == [("lock", "olga", str(ann.id)), ("unlock", "olga", str(ann.id))]


def test_cleanup_does_not_remove_operator_lock(app, client, ann, flask):
    flask("lock", str(ann.id))

    app.test_cli_runner().invoke(args=["ops", "cleanup"])

    assert sign_in(client).status_code == 429


def test_login_during_operator_lock_gets_no_session(app, ann, flask, count):
    for _ in range(count(3, many=40)):
        gate = threading.Barrier(5)

        def race(number, gate=gate):
            gate.wait(60)
            if number == 0:
                return flask("lock", "ann@example.org").exit_code
            return sign_in(app.test_client()).status_code

        answers = at_once(race, 5)

        assert answers[0] == 0
        assert set(answers[1:]) <= {200, 401, 429}
        assert rows(app, Session) == 0
        assert sign_in(app.test_client()).status_code == 429
        flask("unlock", "ann@example.org")


def test_operator_logout_ends_sessions_and_password_still_works(app, client, ann, flask):
    sessions = [sign_in(client).json for _ in range(3)]

    done = flask("logout", "ann@example.org", "--json")

    assert json.loads(done.stdout) == {"account_id": str(ann.id), "count": 3, "dry_run": False}
    for one in sessions:
        bearer = {"Authorization": f"Bearer {one['access_token']}"}
        assert client.get(ME, headers=bearer).status_code == 401
    assert sign_in(client).status_code == 200


# --- factors, deletion ---


def test_reset_factors_removes_factors_notifies_owner_and_keeps_password(
    app, as_ann, client, flask
):
    confirmed(as_ann)
    assert sign_in(client).status_code == 401

    done = flask("reset-factors", "ann@example.org", "--confirm", "ann@example.org")

    assert done.exit_code == 0
    assert (rows(app, Factor), rows(app, RecoveryCode), rows(app, Session)) == (0, 0, 0)
    assert sign_in(client).status_code == 200
    assert sign_in(client, key=bytes(32)).status_code == 401
    assert "factor-removed" in {one.kind for one in outbox.emails(app)}


def test_deleted_account_loses_vaults_and_keeps_audit_events(app, flask):
    with app.app_context():
        factories.item(factories.vault())
    about = len(factories.events(app))

    done = flask("delete", "ann@example.org", "--confirm", "ann@example.org")

    assert done.exit_code == 0
    assert rows(app, Account) == 0
    assert len(factories.events(app)) > about
    assert recorded(app)[0][:2] == ("delete", "olga")


@pytest.mark.parametrize("command", DESTROYING)
@pytest.mark.parametrize("value", [("--confirm", "bob@example.org"), ("--confirm", ""), ()])
def test_destructive_command_requires_matching_confirmation(app, ann, flask, command, value):
    done = flask(command, "ann@example.org", *value, stdin="ann@example.com\n")

    assert done.exit_code == 1
    assert "nothing was done" in done.stderr
    assert (rows(app, Account), recorded(app)) == (1, [])


def test_confirmation_prompt_accepts_the_same_address(app, ann, flask):
    assert flask("delete", "ann@example.org", stdin="ann@example.org\n").exit_code == 0
    assert rows(app, Account) == 0


# --- verify ---


def test_operator_can_verify_signup_by_hand(app, client, flask):
    client.post(SIGNUP, json=factories.signup())

    done = flask("verify", "ann@example.org")

    assert done.exit_code == 0
    assert sign_in(client).status_code == 200
    assert rows(app, WaitingSignup) == 0
    assert recorded(app)[0][:2] == ("verify", "olga")


def test_verify_of_several_signups_requires_account_id(app, client, flask):
    first, second = factories.signup(), factories.signup()
    for body in (first, second):
        client.post(SIGNUP, json=body)

    assert flask("verify", "ann@example.org").exit_code == 1
    assert rows(app, Account) == 0
    assert flask("verify", second["account_id"]).exit_code == 0
    assert sign_in(client).json["account"]["id"] == second["account_id"]


def test_verify_without_pending_signup_exits_1(ann, flask):
    done = flask("verify", "ann@example.org")

    assert (done.exit_code, done.stderr) == (
        1,
        "Error: No signup waits for this address or account id.\n",
    )


# --- list, show ---


def test_account_list_is_paged_and_hides_addresses_by_default(app, flask):
    with app.app_context():
        made = sorted(str(factories.account(f"{name}@example.org").id) for name in "abc")

    first = json.loads(flask("list", "--limit", "2", "--json").stdout)
    second = json.loads(flask("list", "--after", first["next_after"], "--json").stdout)

    assert [one["id"] for one in first["accounts"] + second["accounts"]] == made
    assert second["next_after"] is None
    assert {one["email"][1:] for one in first["accounts"]} == {"***@example.org"}
    assert "a@example.org" in flask("list", "--addresses").stdout
    assert flask("list", "--after", "x").exit_code == 2


def test_accounts_show_lists_sessions_and_locks_but_no_secrets(app, client, ann, flask):
    sign_in(client)
    shown = json.loads(flask("show", str(ann.id), "--json").stdout)

    assert shown["id"] == str(ann.id)
    assert (shown["sessions"], shown["locks"]) == (1, [])
    assert shown["live_sessions"][0]["device_name"] == "laptop"
    assert not {"verifier", "salt", "token", "sealed"} & set(json.dumps(shown).split('"'))
    flask("lock", str(ann.id))
    locks = json.loads(flask("show", str(ann.id), "--json").stdout)["locks"]
    assert {"counter": "devices never seen", "until": None, "by_operator": True} in locks
    assert "by an operator" in flask("show", str(ann.id)).stdout


# --- all commands ---


@pytest.mark.parametrize("command", DOING)
def test_dry_run_reports_changes_and_makes_none(app, client, ann, flask, command):
    session = sign_in(client).json
    before = len(factories.events(app)), len(outbox.emails(app))

    done = flask(command, "ann@example.org", "--dry-run")

    assert done.exit_code == 0
    assert done.stdout.startswith("would be ")
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    assert client.get(ME, headers=bearer).status_code == 200
    events = [one for one in factories.events(app) if not one["typ"].startswith("writer.")]
    assert recorded(app) == []
    assert (len(events) <= before[0], len(outbox.emails(app))) == (True, before[1])


@pytest.mark.parametrize("command", [*DOING, "verify", "show"])
def test_unknown_account_is_rejected_without_audit_event(app, flask, command):
    more = ("--confirm", "nobody@example.org") if command in DESTROYING else ()
    done = flask(command, "nobody@example.org", *more)

    assert (done.exit_code, done.stdout) == (1, "")
    assert recorded(app) == []


def test_address_can_be_read_from_stdin(ann, flask):
    assert flask("logout", "-", stdin="ann@example.org\n").exit_code == 0
