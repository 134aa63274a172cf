"""A real browser on our own page, on a page of an allowed origin and on other sites."""

import json
from types import SimpleNamespace

import pytest

from tests import factories
from tests.harness import app_fixtures, browser, tls_sites
from tests.harness.gunicorn_server import free_port
from vaultr.app import create_app
from vaultr.database.session import db
from vaultr.settings.model import Settings

AUTH = "/api/v1/auth"
ASK = """
async (url, options, csrf) => {
  const cookie = document.cookie.split("; ").find((one) => one.startsWith("__Host-vaultr_csrf="))
  if (csrf && cookie) options.headers = {...options.headers, "X-CSRF-Token": cookie.slice(19)}
  const answer = await fetch(url, options)
  const text = await answer.text()
  return {status: answer.status, body: text && JSON.parse(text)}
}
"""
FORM = """
((url) => {
  const form = document.createElement("form")
  form.method = "post"; form.action = url; form.enctype = "text/plain"
  document.body.append(form); form.submit()
})(%s)
"""


@pytest.fixture(scope="module")
def chrome_and_authority():
    authority = tls_sites.Authority()
    with browser.started(authority=authority) as chrome:
        yield chrome, authority


@pytest.fixture
def net(chrome_and_authority, tmp_path):
    """The vault's site, and three other sites with a page each."""
    chrome, authority = chrome_and_authority
    port, pages_port = free_port(), free_port()
    vault = f"https://vault.test:{port}"
    friend, foe, sibling = (
        f"https://{name}:{pages_port}" for name in ("friend.test", "foe.test", "pages.vault.test")
    )
    provided = app_fixtures.environ_for(tmp_path, CORS_ORIGINS=friend) | {"BASE_URL": vault}
    app = create_app(Settings.from_environ(provided))
    with app.app_context():
        db.create_all()
        factories.owner("ann@example.org")
    pages = authority.context(tmp_path, "friend.test", "foe.test", "pages.vault.test")
    with (
        tls_sites.serving(app, authority.context(tmp_path, "vault.test"), port=port),
        tls_sites.serving(tls_sites.page, pages, port=pages_port),
    ):
        yield SimpleNamespace(
            chrome=chrome, app=app, vault=vault, friend=friend, foe=foe, sibling=sibling
        )
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def ask(page, url, method="GET", body=None, *, csrf=False, **more):
    options = {"method": method, **more}
    if body is not None:
        options |= {"body": json.dumps(body), "headers": {"Content-Type": "application/json"}}
    return page.evaluate(f"({ASK})({json.dumps(url)}, {json.dumps(options)}, {json.dumps(csrf)})")


def own_page(net):
    """Open our page, and log in there like a web vault."""
    page = net.chrome.page()
    page.goto(f"{net.vault}/verify-email?token=x")
    body = {**factories.login(), "cookies": True}
    assert ask(page, f"{AUTH}/login", "POST", body)["status"] == 200
    return page


def alive(page):
    return ask(page, f"{AUTH}/me")["status"] == 200


def test_own_page_logs_in_refreshes_and_logs_out(net):
    page = own_page(net)
    before = page.cookies()["__Host-vaultr_refresh"]["value"]

    assert alive(page)
    refreshed = ask(page, f"{AUTH}/refresh", "POST", {}, csrf=True)
    assert (refreshed["status"], refreshed["body"]) == (200, {"expires_in": 600})
    assert page.cookies()["__Host-vaultr_refresh"]["value"] != before
    assert ask(page, f"{AUTH}/logout", "POST", csrf=True)["status"] == 204
    assert page.cookies() == {}
    assert not alive(page)


def test_cookies_are_httponly_and_same_site(net):
    page = own_page(net)

    assert page.evaluate("document.cookie").startswith("__Host-vaultr_csrf=")
    assert "access" not in page.evaluate("document.cookie")
    for name, one in page.cookies().items():
        assert one["secure"]
        assert one["sameSite"] == "Strict"
        assert one["domain"] == "vault.test"
        assert one["httpOnly"] == (name != "__Host-vaultr_csrf")


def test_own_page_without_csrf_token_is_rejected(net):
    page = own_page(net)

    rejected = ask(page, f"{AUTH}/logout", "POST")

    assert (rejected["status"], rejected["body"]["type"]) == (403, "urn:vaultr:problem:csrf")
    assert alive(page)


def test_two_tabs_can_refresh_concurrently(net):
    first = own_page(net)
    second = net.chrome.page_in(first.context)
    second.goto(f"{net.vault}/verify-email?token=x")

    for page in (first, second):
        page.evaluate(
            f"(() => {{ window.asked = ({ASK})('{AUTH}/refresh', {{method: 'POST', body: '{{}}',"
            " headers: {'Content-Type': 'application/json'}}, true) })()"
        )

    assert [page.evaluate("window.asked")["status"] for page in (first, second)] == [200, 200]
    assert alive(first)
    assert alive(second)


def test_allowed_origin_works_with_bearer_token(net):
    with net.app.app_context():
        session = factories.session()
    page = net.chrome.page()
    page.goto(net.friend)

    answer = page.evaluate(
        f"({ASK})({json.dumps(net.vault + AUTH + '/me')},"
        f" {json.dumps({'headers': session.headers})})"
    )

    assert (answer["status"], answer["body"]["account"]["email"]) == (200, "ann@example.org")


def test_allowed_origin_cannot_use_cookies(net):
    ours = own_page(net)
    page = net.chrome.page_in(ours.context)
    page.goto(net.friend)

    bare = ask(page, f"{net.vault}{AUTH}/me")
    assert bare["status"] == 401
    with pytest.raises(browser.BrowserError, match="Failed to fetch"):
        ask(page, f"{net.vault}{AUTH}/me", credentials="include")
    with pytest.raises(browser.BrowserError, match="Failed to fetch"):
        ask(page, f"{net.vault}{AUTH}/logout", "POST", credentials="include")
    assert alive(ours)


@pytest.mark.parametrize("where", ["foe", "sibling"])
def test_page_of_another_origin_reads_and_changes_nothing(net, where):
    """The sibling is under our own domain: the browser sends our cookies, and we reject them."""
    ours = own_page(net)
    page = net.chrome.page_in(ours.context)
    page.goto(getattr(net, where))

    with net.app.app_context():
        bearer = factories.session().headers
    for options in (
        {},
        {"credentials": "include"},
        {"credentials": "include", "method": "POST"},
        {"headers": bearer},
    ):
        with pytest.raises(browser.BrowserError, match="Failed to fetch"):
            page.evaluate(f"({ASK})({json.dumps(net.vault + AUTH + '/me')}, {json.dumps(options)})")
    blind = f"fetch({json.dumps(net.vault + AUTH)} + '/logout', {{method: 'POST', mode: 'no-cors',"
    page.evaluate(blind + " credentials: 'include'}).catch(() => null).then(() => null)")
    assert alive(ours)


@pytest.mark.parametrize("where", ["foe", "sibling"])
def test_form_of_another_origin_changes_nothing(net, where):
    ours = own_page(net)
    page = net.chrome.page_in(ours.context)
    page.goto(getattr(net, where))

    page.leave(FORM % json.dumps(f"{net.vault}{AUTH}/logout"))

    shown = page.evaluate("document.body.innerText")
    assert "csrf" in shown if where == "sibling" else "unauthenticated" in shown
    assert alive(ours)


def test_page_of_another_origin_cannot_frame_own_page(net):
    page = net.chrome.page()
    page.goto(net.foe)

    page.evaluate(
        "new Promise((done) => { const frame = document.createElement('iframe');"
        f" frame.src = {json.dumps(net.vault + '/verify-email?token=x')};"
        " frame.onload = done; document.body.append(frame) }).then(() => null)"
    )

    assert any("frame" in complaint.lower() for complaint in page.complaints)
