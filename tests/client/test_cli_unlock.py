"""How long `vaultr unlock` keeps the keys, and what `status` and `doctor` say about it."""

import pytest

from tests.harness.client.doctor_findings import findings

HOUR = 3600


@pytest.fixture
def locked(account):
    """The owner's device, which may have an agent; it is locked before and after the test."""
    device = account.with_agent()
    device.done("lock", password=None)
    yield device
    device.done("lock", password=None)


def test_unlock_for_a_time_shows_when_it_ends(locked):
    locked.done("unlock", "--for", "8h")

    assert 7.9 * HOUR < locked.run_json("status", password=None)["locks_in_seconds"] <= 8 * HOUR
    assert "unlocked, for 7 h 59 min more\n" in locked.done("status", password=None)


def test_unlock_until_logout_has_no_end(locked):
    locked.done("unlock", "--until-logout")

    found = locked.run_json("status", password=None)
    assert (found["unlocked"], found["locks_in_seconds"]) == (True, None)
    assert "until vaultr lock or vaultr logout" in findings(locked)["unlocked"]["said"]


def test_idle_time_variable_is_used(locked):
    locked.done("unlock", env=[("VAULTR_IDLE", "2h")])

    assert 1.9 * HOUR < locked.run_json("status", password=None)["locks_in_seconds"] <= 2 * HOUR
    assert "without use" in findings(locked)["unlocked"]["said"]


@pytest.mark.parametrize("text", ["soon", "0s", "31d"])
def test_invalid_idle_time_is_reported_before_the_password(locked, text):
    message = locked.fails(2, "unlock", password=None, env=[("VAULTR_IDLE", text)])

    assert "VAULTR_IDLE is not a valid time." in message


def test_unlock_with_two_lifetime_options_is_rejected(locked):
    message = locked.fails(2, "unlock", "--for", "8h", "--until-logout", password=None)

    assert "Use either --for or --until-logout" in message


def test_new_login_keeps_the_time_of_the_agent(locked):
    locked.done("unlock", "--for", "8h")

    locked.done("login")

    assert locked.run_json("status", password=None)["locks_in_seconds"] > 7.9 * HOUR
