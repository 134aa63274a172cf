"""The API page is complete, uses only files of this server, and works in a real browser."""

import re
from contextlib import closing

import pytest

from tests.harness import app_fixtures, browser
from tests.harness.client.wsgi_server import WsgiServer
from tests.harness.recording_proxy import recording
from vaultr.api import security_headers
from vaultr.api.openapi import document
from vaultr.web import api_docs

DOCS = "/api/docs"


@pytest.fixture
def shown(client):
    response = client.get(DOCS)
    assert (response.status_code, response.mimetype) == (200, "text/html")
    return response


def test_docs_page_is_public_with_page_security_policy(shown):
    assert shown.headers["Content-Security-Policy"] == security_headers.PAGE_POLICY
    assert shown.headers["Cache-Control"] == "no-store"
    assert "<style" not in shown.text
    assert " style=" not in shown.text
    assert "<script>" not in shown.text


def test_docs_page_lists_every_operation_and_schema(app, shown):
    with app.app_context():
        described = document(app)

    for path, methods in described["paths"].items():
        assert f"<code>{path}</code>" in shown.text
        for reported in methods.values():
            assert f'id="{reported["operationId"]}"' in shown.text
    named = set(re.findall(r'href="#(\w+)"', shown.text))
    here = re.findall(r' id="(\w+)"', shown.text)
    assert set(described["components"]["schemas"]) <= set(here)
    assert named <= set(here)
    assert len(here) == len(set(here))


def test_static_files_are_cached_permanently_under_hashed_names(client, shown):
    addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', shown.text)

    assert len(addresses) == 2
    for address in addresses:
        assert re.fullmatch(r"/static/reference\.[0-9a-f]{16}\.(css|js)", address)
        asset = client.get(address)
        assert asset.status_code == 200
        assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        other = address.replace("reference.", "reference.0")
        assert client.get(other).status_code == 404


def test_operation_descriptions_are_shown_as_text():
    assert api_docs.text("a <b> & `c<d>`") == "a &lt;b&gt; &amp; <code>c&lt;d&gt;</code>"
    assert api_docs.kind_of({"const": "<x>"}) == "<code>&lt;x&gt;</code>"
    assert api_docs.kind_of({"type": "string", "pattern": "<y>"}).endswith("&lt;y&gt;</small>")
    assert "&lt;z&gt;" in api_docs.kind_of({"enum": ["<z>"]})


def test_docs_page_renders_and_loads_nothing_from_other_hosts(sqlite_app):
    app_fixtures.empty(sqlite_app)
    with (
        closing(WsgiServer(sqlite_app)) as server,
        recording() as (proxy, requested),
        browser.started(proxy=proxy) as chrome,
    ):
        page = chrome.page()
        site = server.url.replace("127.0.0.1", "localhost")
        page.goto(f"{site}{DOCS}#vaults_put_item")

        opened = page.evaluate("document.getElementById('vaults_put_item').open")
        coloured = page.evaluate("getComputedStyle(document.querySelector('.delete')).color")
        visible = "[...document.querySelectorAll('details')].filter(one => !one.hidden).length"
        every = page.evaluate(visible)
        page.evaluate(
            "const box = document.getElementById('find');"
            "box.value = 'rotation finish'; box.dispatchEvent(new Event('input'))"
        )
        found = page.evaluate(visible)

    assert opened is True
    assert coloured == "rgb(198, 40, 40)"
    assert 0 < found < every / 10
    assert page.complaints == []
    assert len(page.requests) == 3
    assert page.requests[0] == f"{site}{DOCS}"
    assert sorted(one for one in requested if one.startswith(site)) == sorted(page.requests)
    # A browser contacts its vendor by itself; no served page contains those addresses.
    client = sqlite_app.test_client()
    served = "".join(client.get(one.removeprefix(site)).text for one in page.requests)
    hosts = {re.split(r"[/:]+", one.split()[-1].removeprefix("http://"))[0] for one in requested}
    assert [host for host in hosts - {"localhost"} if host in served] == []
    assert re.findall(r"""["'(]\s*(?:https?:)?//""", served) == []


def test_home_page_links_to_docs_and_health(client):
    response = client.get("/")

    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert 'href="/api/docs"' in response.text
    assert 'href="/api/health"' in response.text
