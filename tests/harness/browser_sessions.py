"""A test client that is logged in with cookies, like one of our pages."""

from tests import factories

LOGIN = "/api/v1/auth/login"
OWN = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
ACCESS, TOKEN, CSRF = (f"__Host-vaultr_{name}" for name in ("access", "refresh", "csrf"))


def signed_in(app, email="ann@example.org"):
    """Create an account, and log a browser in to it."""
    with app.app_context():
        factories.owner(email)
    return at(app, email)


def at(app, email="ann@example.org"):
    """Log a browser in to an existing account; ``answer`` is the login's response."""
    browser = app.test_client()
    body = {**factories.login(email), "cookies": True}
    browser.answer = browser.post(LOGIN, json=body, headers=OWN)
    assert browser.answer.status_code == 200, browser.answer.json
    return browser


def cookie(browser, name):
    found = browser.get_cookie(name)
    return found.value if found else None


def cookies(browser):
    """Return the access token, the refresh token and the CSRF token."""
    return [cookie(browser, name) for name in (ACCESS, TOKEN, CSRF)]


def with_token(browser, **more):
    """Return the headers of a request from our own page."""
    return {**OWN, "X-CSRF-Token": cookie(browser, CSRF), **more}
