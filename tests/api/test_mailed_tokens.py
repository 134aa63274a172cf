"""An emailed token is valid for one purpose; all other uses get the same error."""

import secrets

import pytest

from tests import factories
from tests.harness import account_recovery
from tests.harness.account_recovery import ANN, LINK
from tests.harness.outbox import emails, tokens
from vaultr.protocol.encoding import b64

AUTH = "/api/v1/auth"
NEW = "new@example.org"
# The routes that accept a token, and its kind.
ROUTES = {
    f"{AUTH}/verify-email": "verify",
    f"{AUTH}/recover/cancel": "recover",
    f"{AUTH}/email/confirm": "confirm",
    f"{AUTH}/email/undo": "undo",
}
PAGES = {path.removeprefix(AUTH): kind for path, kind in ROUTES.items()}


@pytest.fixture
def mailed(app, as_ann, set_to):
    """A valid token of each kind, of unrelated accounts."""
    set_to(app, limit_login_address="1000/900")
    client = app.test_client()
    client.post(f"{AUTH}/signup", json=factories.signup("signup@example.org"))
    as_ann.post(f"{AUTH}/email", json={"email": NEW})
    received = {
        "verify": tokens(app, "signup@example.org")[0],
        "refresh": as_ann.session.refresh_token,
    }
    received["confirm"] = _linked(app, ANN)
    _, received["recover"] = account_recovery.begun(app, "bob@example.org")
    received["undo"] = _moved(app)
    return received


def _linked(app, to):
    return emails(app, to)[-1].text.partition("token=")[2].partition("\n")[0]


def _moved(app):
    """Change the address of a third account; return the token that undoes it."""
    with app.app_context():
        session = factories.session(factories.owner("cat@example.org"))
    client = app.test_client()
    client.post(f"{AUTH}/email", json={"email": "cats@example.org"}, headers=session.headers)
    for to in ("cat@example.org", "cats@example.org"):
        client.post(f"{AUTH}/email/confirm", json={"token": _linked(app, to)})
    return _linked(app, "cat@example.org")


def altered(token):
    return [
        "", "x", token[:-1], token + "A", f" {token}", token.swapcase(), token[::-1],
        b64(secrets.token_bytes(32)), "é" * 43, "A" * 10_000,
    ]  # fmt: skip


def test_mailed_token_of_another_purpose_gets_same_error(app, client, mailed):
    answers = {
        (path, kind): client.post(path, json={"token": token})
        for path, wanted in ROUTES.items()
        for kind, token in mailed.items()
        if kind != wanted
    }

    reported = {(one.status_code, one.json["type"], one.json["detail"]) for one in answers.values()}
    assert len(answers) == len(ROUTES) * (len(mailed) - 1)
    assert {(status, problem) for status, problem, _ in reported} == {
        (400, "urn:vaultr:problem:token-invalid")
    }
    assert len(reported) == 1
    good = {path: client.post(path, json={"token": mailed[kind]}) for path, kind in ROUTES.items()}
    assert {path: one.status_code for path, one in good.items()} == dict.fromkeys(ROUTES, 204)


def test_altered_token_gets_the_same_error(app, client, mailed):
    for path, kind in ROUTES.items():
        answers = [client.post(path, json={"token": one}) for one in altered(mailed[kind])]
        assert {(one.status_code, one.json["detail"]) for one in answers} == {
            (400, "This link is not valid, or no longer valid.")
        }
        assert client.post(path, json={"token": mailed[kind]}).status_code == 204


@pytest.mark.parametrize("body", [{}, {"token": 1}, {"token": None}, {"token": "x", "more": 1}, []])
def test_malformed_token_returns_400(client, body):
    for path in ROUTES:
        answer = client.post(path, json=body)
        assert (answer.status_code, answer.json["type"]) == (
            400, "urn:vaultr:problem:bad-request"
        )  # fmt: skip


def test_mailed_token_does_not_authenticate(client, mailed):
    for token in mailed.values():
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.get(f"{AUTH}/me", headers=bearer).status_code == 401
    for kind in ROUTES.values():
        body = {"refresh_token": mailed[kind]}
        assert client.post(f"{AUTH}/refresh", json=body).status_code == 401


def test_page_changes_state_only_by_its_button(app, client, mailed):
    for path, kind in PAGES.items():
        for _ in range(2):
            page = client.get(path, query_string={"token": mailed[kind]})
            assert (page.status_code, page.mimetype) == (200, "text/html")
            assert f'action="{path}"' in page.text
            assert page.text.count("<button") == 1

        pressed = client.post(path, data={"token": mailed[kind]})

        assert (path, pressed.status_code) == (path, 200)
        assert client.post(path, data={"token": mailed[kind]}).status_code == 400


@pytest.mark.parametrize("path", PAGES)
def test_page_has_no_script_and_leaks_no_token(client, path):
    page = client.get(path, query_string={"token": '"><script>x</script>'})

    assert "<script" not in page.text
    assert "style=" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert client.get(path).status_code == 400
    wrong = client.post(path, data={"token": "nonsense"})
    assert (wrong.status_code, "Nothing was changed" in wrong.text) == (400, True)


def test_subjects_and_logs_contain_no_token(app, mailed, caplog):
    found = [one for one in emails(app) if LINK.search(one.text)]

    assert found
    assert all(token not in one.subject for one in emails(app) for token in mailed.values())
    assert all(token not in caplog.text for token in mailed.values())
