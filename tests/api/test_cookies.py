"""Browser sessions: their cookies, and rejected requests with them."""

import re
from uuid import uuid4

import pytest

from tests import factories
from tests.harness.browser_sessions import ACCESS, CSRF, OWN, TOKEN, cookie, signed_in, with_token
from vaultr.protocol.encoding import b64

LOGIN, REFRESH, LOGOUT = "/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout"
ME, STEP_UP = "/api/v1/auth/me", "/api/v1/auth/step-up"


def slug(response):
    return response.json["type"].removeprefix("urn:vaultr:problem:")


def status_and_slug(response):
    return response.status_code, slug(response)


@pytest.fixture
def browser(app):
    return signed_in(app)


def proof(email="ann@example.org"):
    return {"auth_key": b64(factories.auth_key(email))}


def test_browser_login_sets_cookies_and_returns_no_tokens(browser):
    assert browser.answer.json.keys() == {"expires_in", "account", "key_set"}
    set_ = {line.split("=")[0]: line for line in browser.answer.headers.getlist("Set-Cookie")}
    assert set_.keys() == {ACCESS, TOKEN, CSRF}
    for name, line in set_.items():
        parts = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"secure", "samesite=strict", "path=/"} <= parts
        assert ("httponly" in parts) == (name != CSRF)
        assert not any(part.startswith("domain") for part in parts)
    assert re.search(r"Max-Age=600\b", set_[ACCESS])
    assert re.search(r"Max-Age=1209600\b", set_[TOKEN])


def test_login_without_cookies_option_sets_no_cookies(app, client):
    with app.app_context():
        factories.owner("ann@example.org")

    answer = client.post(LOGIN, json=factories.login(), headers=OWN)

    assert "Set-Cookie" not in answer.headers
    assert answer.json["refresh_token"]


def test_cookies_authenticate_the_session(browser):
    assert browser.get(ME, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert browser.get(ME).status_code == 200
    assert browser.post(STEP_UP, json=proof(), headers=with_token(browser)).status_code == 204


@pytest.mark.parametrize(
    "change",
    [
        {"X-CSRF-Token": None},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "caf\u00e9"},
        {"X-CSRF-Token": "x" * 43},
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "https://localhost"},
        {"Origin": "http://localhost:81"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "something-new"},
    ],
)
def test_request_with_invalid_csrf_headers_is_rejected(browser, change):
    headers = with_token(browser) | change
    headers = {name: value for name, value in headers.items() if value is not None}

    assert status_and_slug(browser.post(LOGOUT, headers=headers)) == (403, "csrf")
    assert browser.get(ME).status_code == 200


def test_cross_site_read_is_rejected(browser):
    for site in ("cross-site", "same-site"):
        assert status_and_slug(browser.get(ME, headers={"Sec-Fetch-Site": site})) == (403, "csrf")


def test_csrf_token_of_another_session_is_rejected(app, browser):
    bob = signed_in(app, "bob@example.org")
    again = signed_in(app)

    for other in (bob, again):
        headers = OWN | {"X-CSRF-Token": cookie(other, CSRF)}
        assert status_and_slug(browser.post(LOGOUT, headers=headers)) == (403, "csrf")


def test_anonymous_request_gets_401_before_any_csrf_error(client):
    client.set_cookie(ACCESS, "rubbish")

    assert client.post(LOGOUT, headers={"Origin": "http://evil.example"}).status_code == 401


def test_request_with_cookies_and_bearer_token_is_rejected(app, browser):
    with app.app_context():
        bearer = factories.session().headers

    for path in (ME, "/api/v1/auth/prelogin"):
        ask = browser.get if path == ME else browser.post
        assert status_and_slug(ask(path, headers=bearer)) == (400, "bad-request")
    browser.delete_cookie(ACCESS)
    assert status_and_slug(browser.get(ME, headers=bearer)) == (400, "bad-request")
    browser.delete_cookie(TOKEN)
    assert browser.get(ME, headers=bearer).status_code == 200


def test_bearer_token_works_with_any_origin(app, client):
    with app.app_context():
        bearer = factories.session().headers
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}

    assert client.post(LOGOUT, headers=bearer | foreign).status_code == 204


def test_cookie_refresh_returns_no_token_in_body(browser):
    before = cookie(browser, ACCESS), cookie(browser, TOKEN)

    answer = browser.post(REFRESH, json={}, headers=with_token(browser))

    assert (answer.status_code, answer.json) == (200, {"expires_in": 600})
    after = cookie(browser, ACCESS), cookie(browser, TOKEN)
    assert not {*before} & {*after}
    assert browser.get(ME).status_code == 200


def test_refresh_works_without_access_cookie(browser):
    browser.delete_cookie(ACCESS)

    assert browser.post(REFRESH, json={}, headers=with_token(browser)).status_code == 200
    assert browser.get(ME).status_code == 200


@pytest.mark.parametrize("change", [{"X-CSRF-Token": "x"}, {"Origin": "http://evil.example"}])
def test_refresh_with_invalid_csrf_headers_rotates_nothing(browser, change):
    before = cookie(browser, TOKEN)

    assert status_and_slug(
        browser.post(REFRESH, json={}, headers=with_token(browser) | change)
    ) == (
        403,
        "csrf",
    )

    assert cookie(browser, TOKEN) == before
    assert browser.post(REFRESH, json={}, headers=with_token(browser)).status_code == 200


def test_refresh_token_in_body_and_cookie_is_rejected(app, browser):
    with app.app_context():
        other = factories.session()

    answer = browser.post(REFRESH, json={"refresh_token": other.refresh_token}, headers=OWN)

    assert status_and_slug(answer) == (400, "bad-request")


def test_refresh_without_token_returns_session_ended(client):
    assert status_and_slug(client.post(REFRESH, json={})) == (401, "session-ended")


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_cookie_login_from_another_origin_is_rejected(app, client, headers):
    with app.app_context():
        factories.owner("ann@example.org")

    answer = client.post(LOGIN, json={**factories.login(), "cookies": True}, headers=headers)

    assert status_and_slug(answer) == (403, "csrf")
    assert "Set-Cookie" not in answer.headers


def test_origin_of_base_url_is_accepted(app, browser, set_to):
    set_to(app, base_url="https://vault.example")
    headers = with_token(browser, Origin="https://vault.example")

    assert browser.post(STEP_UP, json=proof(), headers=headers).status_code == 204


def test_fast_read_accepts_cookies(app, browser):
    vault = {
        "id": str(uuid4()),
        "sealed_key": b64(factories.sealed(64)),
        "overview": b64(factories.sealed()),
    }
    made = browser.post("/api/v1/vaults", json=vault, headers=with_token(browser))
    assert made.status_code == 201

    items = f"/api/v1/vaults/{vault['id']}/items"
    assert browser.get(items).status_code == 200
    assert status_and_slug(browser.get(items, headers={"Sec-Fetch-Site": "cross-site"})) == (
        403,
        "csrf",
    )


def test_cors_headers_allow_no_cookies(app, client, set_to):
    """Pages of other origins must authenticate with a bearer token."""
    set_to(app, cors_origins=("https://app.example",))

    answer = client.options(ME, headers={"Origin": "https://app.example"})

    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "X-CSRF-Token" not in answer.headers["Access-Control-Allow-Headers"]
