"""Login attempts are counted exactly, by counter and time, and the limit cannot be bypassed."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
import time_machine

from tests import factories
from tests.harness.metric_values import hashes
from tests.harness.sql_recorder import collected
from tests.harness.threads import at_once
from vaultr import clock
from vaultr.auth import login_throttle
from vaultr.auth.errors import Locked
from vaultr.auth.models import Failures
from vaultr.database.session import transaction
from vaultr.errors import TooMany

pytestmark = pytest.mark.both_databases
LOGIN = "/api/v1/auth/login"
WRONG = b"w" * 32
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def ann(app):
    with app.app_context():
        return factories.account("ann@example.org")


def guess(client, email="ann@example.org", **more):
    return client.post(LOGIN, json=factories.login(email, key=WRONG, **more)).status_code


@pytest.fixture
def here(app):
    with app.test_request_context():
        yield


def try_at(moment, counter="l:x", *, fail=True):
    """Make one attempt at a time of the clock; return whether it was allowed."""
    with time_machine.travel(moment, tick=False):
        try:
            with login_throttle.count_attempt(login_throttle.read_counter(counter)) as attempt:
                if fail:
                    login_throttle.record_failure(attempt, None)
        except TooMany:
            return False
    return True


def test_sliding_window_allows_five_attempts_per_fifteen_minutes(here):
    """A sliding window: not five at the end of one window and five at the start of the next."""
    allowed = [minute for minute in range(60) if try_at(NOON + timedelta(minutes=minute))]

    assert all(sum(1 for other in allowed if 0 <= minute - other < 15) <= 5 for minute in range(75))
    assert allowed[:6] == [0, 1, 2, 3, 4, 16]


def test_error_contains_time_of_next_allowed_attempt(here):
    for minute in range(5):
        assert try_at(NOON + timedelta(minutes=minute))

    with (
        time_machine.travel(NOON + timedelta(minutes=5), tick=False),
        pytest.raises(TooMany) as rejected,
        login_throttle.count_attempt(login_throttle.read_counter("l:x")),
    ):
        raise AssertionError("the attempt was allowed")
    wait = int(rejected.value.headers["Retry-After"])

    assert wait == 600
    assert not try_at(NOON + timedelta(minutes=5, seconds=wait - 1))
    assert try_at(NOON + timedelta(minutes=5, seconds=wait + 1))


def test_attempt_without_result_is_refunded(here):
    for _ in range(8):
        with (
            pytest.raises(ZeroDivisionError),
            login_throttle.count_attempt(login_throttle.read_counter("l:x")),
        ):
            raise ZeroDivisionError

    assert [try_at(clock.now()) for _ in range(6)] == [True] * 5 + [False]


def test_attempts_in_one_millisecond_have_distinct_stamps(here):
    with time_machine.travel(NOON, tick=False):
        assert [try_at(NOON) for _ in range(3)] == [True] * 3
        assert try_at(NOON, fail=False)  # one is refunded, not all of this moment
        assert [try_at(NOON) for _ in range(3)] == [True] * 2 + [False]


def test_very_high_limit_is_accepted(app, client, ann, set_to):
    set_to(app, limit_login_account="999999999/60")

    assert [guess(client) for _ in range(7)] == [401] * 7


def test_lockout_doubles_up_to_a_day(here):
    moment, seen = NOON, []
    assert try_at(moment)
    for _ in range(9):
        with transaction() as work:
            work.execute(sa.update(Failures).values(failures=99, recent=""))
        assert try_at(moment)
        with time_machine.travel(moment, tick=False):
            counter = login_throttle.read_counter("l:x")
            with pytest.raises(Locked) as locked, login_throttle.count_attempt(counter):
                raise AssertionError("the attempt was allowed")
        seen.append(round(int(locked.value.headers["Retry-After"]) / 60))
        moment += timedelta(days=1, minutes=1)

    assert seen == [15, 30, 60, 120, 240, 480, 960, 1440, 1440]


def test_lockout_follows_its_settings(app, client, ann, set_to):
    more = {"lockout_failures": 10, "lockout_seconds": 1200, "lockout_max_seconds": 1800}
    set_to(app, limit_login_account="1000/900", limit_login_address="1000/900", **more)

    statuses, waits = [guess(client) for _ in range(10)], []
    for _ in range(2):
        locked = client.post(LOGIN, json=factories.login("ann@example.org", key=WRONG))
        waits.append(round(int(locked.headers["Retry-After"]) / 60))
        with app.app_context(), transaction() as work:
            work.execute(sa.update(Failures).values(failures=9, locked_until=None))
        guess(client)

    assert statuses == [401] * 10
    assert waits == [20, 30]


def test_parallel_failures_over_limit_lock_once(app, client):
    guess(client)
    with app.app_context(), transaction() as work:
        work.execute(sa.update(Failures).values(failures=99))

    at_once(lambda _: guess(app.test_client()), 4)

    with app.app_context(), transaction() as work:
        counter = work.query(Failures).one()
    assert counter.locks == 1
    locks = [event for event in factories.events(app) if event["typ"] == "auth.lock"]
    assert len(locks) == 1


def test_throttled_attempt_computes_no_hash_and_writes_nothing(app, client, ann):
    for email in ("ann@example.org", "nobody@example.org"):
        for _ in range(5):
            guess(client, email)
        before = hashes()

        with collected(app) as ran:
            answers = [guess(client, email) for _ in range(3)]

        assert answers == [429] * 3
        assert hashes() == before
        assert len(ran) == 3
        assert all(one.startswith("SELECT") for one in ran)
        assert not any(word in " ".join(ran) for word in ("INSERT", "UPDATE", "DELETE"))


def test_attempt_during_lockout_costs_no_hash_and_no_write(app, client, ann):
    guess(client)
    with app.app_context(), transaction() as work:
        until = clock.now() + timedelta(minutes=5)
        work.execute(sa.update(Failures).values(locked_until=until))
    before = hashes()

    with collected(app) as ran:
        answer = client.post(LOGIN, json=factories.login())

    assert (answer.status_code, answer.json["type"]) == (429, "urn:vaultr:problem:locked")
    assert hashes() == before
    assert len(ran) == 1


def test_attempt_over_address_limit_costs_no_hash_and_no_write(app, client, set_to):
    set_to(app, limit_login_address="3/900")
    for number in range(3):
        guess(client, f"{number}@example.org")
    before = hashes()

    with collected(app) as ran:
        assert guess(client, "another@example.org") == 429

    assert hashes() == before
    assert len(ran) == 1


@pytest.mark.parametrize("email", ["ann@example.org", "nobody@example.org"])
def test_other_spelling_of_address_grants_no_extra_attempt(app, client, ann, email):
    name, host = email.split("@")
    spellings = [
        email, email.upper(), f" {email}", f"{email}  ", f"{name.title()}@{host.title()}",
        f"{name}@{host}".replace("a", "\uff41"), f"{name}\uff20{host}",
    ]  # fmt: skip

    answers = []
    for spelling in spellings:
        body = factories.login(email, key=WRONG) | {"email": spelling}
        answers.append(client.post(LOGIN, json=body).status_code)

    assert answers == [401] * 5 + [429] * 2


def test_malformed_bodies_grant_no_extra_attempt(client, ann):
    answers = []
    for _ in range(8):
        answers.append(guess(client))
        for body in (b"null", b"{", b'{"email":"ann@example.org"}', b"\xff", b"[" * 100):
            headers = {"Content-Type": "application/json"}
            assert client.post(LOGIN, data=body, headers=headers).status_code == 400

    assert answers == [401] * 5 + [429] * 3


def test_ipv6_network_shares_twenty_attempts(app):
    def ask(number, network="2001:db8:1:2"):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"{network}:{number:x}:5:6:7"
        return guess(client, f"{number}@example.org")

    assert [ask(number) for number in range(22)] == [401] * 20 + [429] * 2
    assert ask(99, network="2001:db8:1:3") == 401


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Client-Ip", "True-Client-Ip", "Client-Ip"],
)
@pytest.mark.matrix(3)
def test_forged_header_grants_no_extra_attempt(app, client, set_to, name):
    set_to(app, limit_login_address="4/900")

    def ask(number):
        value = f"for=192.0.2.{number}" if name == "Forwarded" else f"192.0.2.{number}"
        body = factories.login(f"{number}@example.org", key=WRONG)
        return client.post(LOGIN, json=body, headers={name: value}).status_code

    assert [ask(number) for number in range(5)] == [401] * 4 + [429]


def test_new_device_id_per_guess_grants_no_extra_attempt(client, ann):
    answers = [guess(client, device_id=uuid4()) for _ in range(6)]

    assert answers == [401] * 5 + [429]


def test_owner_login_grants_other_addresses_no_extra_attempt(app, ann):
    """The owner logs in on a new device between two series of an attacker."""
    client = app.test_client()
    assert [guess(client) for _ in range(4)] == [401] * 4

    assert client.post(LOGIN, json=factories.login()).status_code == 200

    assert [guess(client) for _ in range(2)] == [401, 429]
