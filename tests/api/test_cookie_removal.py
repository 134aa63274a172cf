"""Every response that ends a browser session also deletes its cookies."""

import re

import pytest

from tests.harness import account_recovery, browser_sessions
from tests.harness.browser_sessions import ACCESS, CSRF, OWN, TOKEN, cookie, cookies, with_token
from tests.harness.outbox import emails

AUTH = "/api/v1/auth"
ME, EMAIL, REFRESH, LOGOUT = (f"{AUTH}/{name}" for name in ("me", "email", "refresh", "logout"))
ANN, NEW = "ann@example.org", "new@example.org"
NONE = [None] * 3


@pytest.fixture
def browser(app):
    return browser_sessions.signed_in(app)


def mailed(app, to, page):
    """Return the token in the newest email to an address whose link opens a page."""
    found = [re.search(rf"/email/{page}\?token=(\S+)", one.text) for one in emails(app, to)]
    return [match[1] for match in found if match][-1]


def test_refresh_of_ended_session_deletes_cookies(app, browser):
    thief = app.test_client()
    for name in (ACCESS, TOKEN, CSRF):
        thief.set_cookie(name, cookie(browser, name))
    assert browser.post(LOGOUT, headers=with_token(browser)).status_code == 204

    answer = thief.post(REFRESH, json={}, headers=with_token(thief))

    assert (answer.status_code, answer.json["type"]) == (401, "urn:vaultr:problem:session-ended")
    assert cookies(thief) == NONE


def test_logout_ends_session_and_deletes_cookies(app, browser):
    stored = cookie(browser, ACCESS)

    assert browser.post(LOGOUT, headers=with_token(browser)).status_code == 204

    assert cookies(browser) == NONE
    copy = app.test_client()
    copy.set_cookie(ACCESS, stored)
    assert copy.get(ME).status_code == 401


@pytest.mark.parametrize("which", ["all", "own", "account"])
def test_every_way_to_end_own_session_removes_cookies(browser, which):
    [mine] = browser.get(f"{AUTH}/sessions").json["sessions"]
    method, path = {
        "all": ("POST", "logout-all"),
        "own": ("DELETE", f"sessions/{mine['id']}"),
        "account": ("DELETE", "account"),
    }[which]

    answer = browser.open(f"{AUTH}/{path}", method=method, headers=with_token(browser))

    assert answer.status_code == 204
    assert cookies(browser) == NONE


def test_email_change_undo_clears_cookies(app, browser):
    requested = browser.post(EMAIL, json={"email": NEW}, headers=with_token(browser))
    assert requested.status_code == 202
    for to in (ANN, NEW):
        agreed = {"token": mailed(app, to, "confirm")}
        assert browser.post(f"{EMAIL}/confirm", json=agreed, headers=OWN).status_code == 204
    assert browser.get(ME).json["account"]["email"] == NEW

    undo = {"token": mailed(app, ANN, "undo")}
    answer = browser.post(f"{EMAIL}/undo", json=undo, headers=OWN)

    assert answer.status_code == 204
    assert cookies(browser) == NONE


def test_completed_recovery_deletes_cookies(app, time_machine):
    account_id, token = account_recovery.begun(app)
    browser = browser_sessions.at(app)
    account_recovery.after_the_wait(time_machine)
    completion = account_recovery.completion(app, token, account_id)

    answer = browser.post(account_recovery.COMPLETE, json=completion, headers=OWN)

    assert answer.status_code == 204
    assert cookies(browser) == NONE
