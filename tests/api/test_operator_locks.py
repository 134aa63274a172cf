"""An operator's lock applies to the account, not to its address or to anybody else."""

import itertools
import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tests import factories
from tests.harness.outbox import emails
from vaultr.auth import password_hashing
from vaultr.auth.admin import actions
from vaultr.auth.admin.actions import Operator
from vaultr.auth.models import Failures, Session
from vaultr.database.session import transaction

pytestmark = pytest.mark.both_databases
ANN, NEW = "ann@example.org", "ann@example.com"
LOGIN, EMAIL = "/api/v1/auth/login", "/api/v1/auth/email"


@pytest.fixture
def flask(app):
    def run(*arguments):
        done = app.test_cli_runner().invoke(args=["accounts", *arguments, "--by", "olga"])
        assert done.exit_code == 0, done.output

    return run


def sign_in(app, address, **more):
    body = factories.login(ANN, **more) | {"email": address}
    return app.test_client().post(LOGIN, json=body)


def mailed(app, address, page):
    found = [re.search(rf"/email/{page}\?token=(\S+)", one.text) for one in emails(app, address)]
    return [match[1] for match in found if match][-1]


def press(app, page, address):
    token = mailed(app, address, page)
    assert app.test_client().post(f"{EMAIL}/{page}", json={"token": token}).status_code == 204


def test_operator_lock_follows_account_through_email_change_and_undo(app, as_ann, flask):
    device = factories.uuid4()
    sign_in(app, ANN, device_id=device)
    assert as_ann.post(EMAIL, json={"email": NEW}).status_code == 202
    flask("lock", ANN)

    for address in (ANN, NEW):
        press(app, "confirm", address)

    for more in ({"device_id": device}, {}):
        assert sign_in(app, NEW, **more).status_code == 429
    assert sign_in(app, ANN).status_code == 401
    press(app, "undo", ANN)
    for more in ({"device_id": device}, {}):
        assert sign_in(app, ANN, **more).status_code == 429
    flask("unlock", ANN)
    assert sign_in(app, ANN, device_id=device).status_code == 200
    assert sign_in(app, NEW).status_code == 401


@pytest.mark.parametrize("known", [True, False])
def test_lock_set_during_key_check_blocks_login(app, as_ann, monkeypatch, known):
    device, verify = factories.uuid4(), password_hashing.verify
    if known:
        assert sign_in(app, ANN, device_id=device).status_code == 200

    def then_lock(*arguments, **options):
        verdict = verify(*arguments, **options)
        actions.lock(ANN, Operator("olga"))
        return verdict

    monkeypatch.setattr(password_hashing, "verify", then_lock)

    answer = sign_in(app, ANN, device_id=device)

    assert (answer.status_code, answer.json["type"]) == (429, "urn:vaultr:problem:locked")
    with app.app_context(), transaction() as work:
        assert work.query(Session).count() == 0


def test_operator_lock_looks_like_a_24_hour_lockout(app, as_ann, flask, time_machine):
    flask("lock", ANN)
    reported = []
    for hours in (0, 5, 5):
        time_machine.move_to(datetime.now(UTC) + timedelta(hours=hours), tick=False)
        rejected = sign_in(app, ANN)
        assert rejected.json["type"].endswith(":locked")
        reported.append(int(rejected.headers["Retry-After"]))

    assert 23 * 3600 < reported[0] <= 24 * 3600 + 1
    assert [before - after for before, after in itertools.pairwise(reported)] == [
        5 * 3600,
        5 * 3600,
    ]


def test_login_failures_do_not_follow_account_to_new_address(app, as_ann):
    for _ in range(5):
        sign_in(app, ANN, key=bytes(32))
    as_ann.post(EMAIL, json={"email": NEW})

    for address in (ANN, NEW):
        press(app, "confirm", address)

    assert sign_in(app, ANN).status_code == 429
    assert sign_in(app, NEW).status_code == 200


def test_lock_ends_with_account_so_address_can_be_reused(app, as_ann, flask):
    device = factories.uuid4()
    sign_in(app, ANN, device_id=device)
    flask("lock", ANN)
    flask("delete", ANN, "--confirm", ANN)

    with app.app_context():
        factories.account(ANN)

    assert sign_in(app, ANN).status_code == 200
    assert sign_in(app, ANN, device_id=device).status_code == 200


def test_operator_lock_affects_no_other_account_on_the_device(app, as_ann, as_bob, flask):
    device = factories.uuid4()
    bob = factories.login("bob@example.org", device_id=device)
    for one in (factories.login(ANN, device_id=device), bob):
        assert app.test_client().post(LOGIN, json=one).status_code == 200

    flask("lock", ANN)

    assert app.test_client().post(LOGIN, json=bob).status_code == 200


def test_success_at_one_account_keeps_failures_at_another(app, as_ann, as_bob, set_to, count):
    set_to(app, limit_login_account="200/900", limit_login_address="500/900")
    wrong = count(4, many=100)
    device = factories.uuid4()
    bob = factories.login("bob@example.org", device_id=device)
    for one in (factories.login(ANN, device_id=device), bob):
        assert app.test_client().post(LOGIN, json=one).status_code == 200
    sign_in(app, ANN, device_id=device, key=bytes(32))
    with app.app_context(), transaction() as work:
        work.execute(sa.update(Failures).values(failures=100 - wrong))

    for number in range(wrong):
        if number % 25 == 2:
            assert app.test_client().post(LOGIN, json=bob).status_code == 200
        assert sign_in(app, ANN, device_id=device, key=bytes(32)).status_code == 401

    assert sign_in(app, ANN, device_id=device).json["type"].endswith(":locked")
