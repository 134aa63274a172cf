import re

import pytest

from tests import factories
from tests.harness.outbox import tokens
from vaultr.auth.models import Account, WaitingSignup
from vaultr.database.session import transaction

PAGE = "/verify-email"


def accounts(app):
    with app.app_context(), transaction() as work:
        return work.query(Account).count()


@pytest.fixture
def token(app, client):
    client.post("/api/v1/auth/signup", json=factories.signup())
    return tokens(app)[0]


def test_opening_the_page_changes_nothing(app, client, token):
    for _ in range(3):
        response = client.get(PAGE, query_string={"token": token})
        assert response.status_code == 200

    with app.app_context(), transaction() as work:
        assert work.query(WaitingSignup).count() == 1
    assert accounts(app) == 0


def test_button_works_without_scripts(app, client, token):
    page = client.get(PAGE, query_string={"token": token}).text
    action = re.search(r'<form method="post" action="([^"]+)">', page)[1]
    hidden = re.search(r'name="token" value="([^"]+)"', page)[1]

    response = client.post(action, data={"token": hidden})

    assert response.status_code == 200
    assert "confirmed" in response.text
    assert accounts(app) == 1
    assert client.post(action, data={"token": hidden}).status_code == 400


@pytest.mark.parametrize("data", [{"token": ""}, {"token": "nonsense"}, {"x": "y"}])
def test_wrong_token_shows_an_error_page(app, client, data):
    response = client.post(PAGE, data=data)

    assert (response.status_code, response.mimetype) == (400, "text/html")
    assert "Nothing was changed" in response.text


def test_page_has_no_script_and_page_headers(client):
    response = client.get(PAGE, query_string={"token": "abc"})

    assert "<script" not in response.text
    assert "style=" not in response.text
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert "form-action 'self'" in response.headers["Content-Security-Policy"]
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"


def test_link_parameters_are_escaped(client):
    response = client.get(PAGE, query_string={"token": '"><b>x</b>'})

    assert "<b>x" not in response.text


def test_link_without_token_shows_no_button(client):
    response = client.get(PAGE)

    assert response.status_code == 400
    assert "<button" not in response.text


def test_oversized_form_is_rejected(client):
    response = client.post(PAGE, data={"token": "x" * 5000})

    assert response.status_code == 413


def test_stylesheet_is_cached_permanently_under_its_version(client):
    page = client.get(PAGE, query_string={"token": "abc"}).text
    address = re.search(r'<link rel="stylesheet" href="([^"]+)">', page)[1]

    response = client.get(address)

    assert (response.status_code, response.mimetype) == (200, "text/css")
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert re.fullmatch(r"/static/page\.[0-9a-f]{16}\.css", address)
    assert client.get("/static/page.css").status_code == 404
    assert client.get("/static/nothing.css").status_code == 404
    assert client.get("/static/..%2froutes.py").status_code == 404
