"""Emails about new devices and moved sessions; strict binding ends such a session."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests import factories
from tests.harness.outbox import emails
from tests.harness.threads import at_once
from tests.harness.vault_writer import Writer
from vaultr.auth import sessions

pytestmark = pytest.mark.both_databases
ANN = "ann@example.org"
AUTH = "/api/v1/auth"
HOME, AWAY = "192.0.2.7", "198.51.100.9"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
VAULTR = "vaultr/0.1"


@pytest.fixture
def owner(app):
    with app.app_context():
        return factories.account(ANN, created_at=datetime.now(UTC) - timedelta(days=1))


def at(client, *, address=HOME, agent=VAULTR):
    """Send a client's requests from an address, with a user agent."""
    client.environ_base |= {"REMOTE_ADDR": address, "HTTP_USER_AGENT": agent}
    return client


def login(client, device_id=None):
    answer = client.post(f"{AUTH}/login", json=factories.login(device_id=device_id))
    assert answer.status_code == 200, answer.json
    return answer.json


def kinds(app):
    return [email_message.kind for email_message in emails(app, ANN)]


def bearer(tokens):
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def refresh(client, tokens):
    return client.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})


def events(app, typ):
    return [event for event in factories.events(app) if event["typ"] == typ]


def test_first_login_on_device_sends_one_email(app, client, owner):
    device = uuid4()
    at(client, agent=BROWSER)

    for _ in range(2):
        login(client, device)

    [email_message] = emails(app, ANN)
    assert (email_message.kind, email_message.notice) == ("new-device", True)
    assert "\u201claptop\u201d" in email_message.text
    assert "the browser Firefox, from the network 192.0.2.0/24" in email_message.text
    assert HOME not in email_message.text
    assert str(device) not in email_message.text


def test_each_new_device_sends_an_email(app, client, owner):
    for _ in range(2):
        login(at(client))

    assert kinds(app) == ["new-device"] * 2


def test_failed_login_on_new_device_sends_no_email(app, client, owner):
    wrong = factories.login(key=b"x" * 32)

    assert client.post(f"{AUTH}/login", json=wrong).status_code == 401

    assert kinds(app) == []


def test_signup_device_is_known_and_next_device_is_new(app, client):
    with app.app_context():
        factories.account(ANN)

    login(at(client))
    assert kinds(app) == []

    login(at(client))
    assert kinds(app) == ["new-device"]


def test_parallel_logins_on_new_device_send_one_email(app, owner):
    device = uuid4()

    at_once(lambda _: login(at(app.test_client()), device), 3)

    assert kinds(app) == ["new-device"]


def test_device_name_cannot_add_a_link_to_the_email(app, client, owner):
    body = factories.login() | {"device": {"id": str(uuid4()), "name": "see https://evil.example"}}

    assert client.post(f"{AUTH}/login", json=body).status_code == 200

    [email_message] = emails(app, ANN)
    assert "evil.example" not in email_message.text + email_message.html
    assert "://" not in email_message.text


def test_moved_session_continues_and_owner_is_notified(app, client, owner):
    tokens = login(at(client))
    at(client, address=AWAY)
    assert client.get(f"{AUTH}/me", headers=bearer(tokens)).status_code == 200

    moved = refresh(client, tokens)

    assert moved.status_code == 200
    [_, email_message] = emails(app, ANN)
    assert email_message.kind == "session-moved"
    assert "from the network 192.0.2.0/24" in email_message.text
    assert "from the network 198.51.100.0/24" in email_message.text
    *_, event = events(app, "session.refresh")
    assert event["obj"]["changed"] == ["address"]
    assert event["obj"]["before"] == {"network": "192.0.2.0/24", "client": "vaultr"}
    assert event["net"]["prefix"] == "198.51.100.0/24"
    shown = client.get(f"{AUTH}/sessions", headers=bearer(moved.json)).json["sessions"]
    assert [one["network"] for one in shown if "network" in one] in ([], ["198.51.100.0/24"])


def test_session_move_is_notified_once_per_network(app, client, owner):
    tokens = login(at(client))
    at(client, address=AWAY)
    for _ in range(3):
        tokens = refresh(client, tokens).json

    assert kinds(app) == ["new-device", "session-moved"]


def test_refresh_by_another_client_family_notifies_owner(app, client, owner):
    tokens = login(at(client))

    assert refresh(at(client, agent=BROWSER), tokens).status_code == 200

    assert kinds(app) == ["new-device", "session-moved"]
    *_, event = events(app, "session.refresh")
    assert event["obj"]["changed"] == ["client"]


def test_address_change_within_network_sends_no_email(app, client, owner):
    tokens = login(at(client, address="192.0.2.7"))

    refresh(at(client, address="192.0.2.200"), tokens)

    assert kinds(app) == ["new-device"]


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        ("vaultr/0.1.0", "vaultr"),
        ("curl/8.9.1", "curl"),
        ("python-httpx2/2.16", "python"),
        ("", "other"),
        ("Mozilla/5.0", "browser"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "firefox"),
        ("Mozilla/5.0 AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", "chrome"),
        ("Mozilla/5.0 AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "edge"),
        ("Mozilla/5.0 AppleWebKit/605.1.15 Version/19.0 Safari/605.1.15", "safari"),
    ],
)
def test_client_family_is_recorded(app, client, owner, agent, family):
    login(at(client, agent=agent))

    assert events(app, "auth.login.ok")[0]["net"]["client"] == family


@pytest.fixture
def strict(app, set_to, monkeypatch):
    """The app with SESSION_BINDING=strict."""
    set_to(app, session_binding="strict")
    check = sessions.session_check(app.config["SETTINGS"])
    monkeypatch.setitem(app.extensions, "security.session_check", check)


@pytest.mark.parametrize("place", [{"address": AWAY}, {"agent": BROWSER}])
def test_strict_binding_ends_session_at_first_request_from_elsewhere(
    app, client, owner, strict, place
):
    tokens = login(at(client))
    assert client.get(f"{AUTH}/me", headers=bearer(tokens)).status_code == 200

    thief = at(app.test_client(), **place)
    assert thief.get(f"{AUTH}/me", headers=bearer(tokens)).status_code == 401

    assert client.get(f"{AUTH}/me", headers=bearer(tokens)).status_code == 401
    assert refresh(client, tokens).status_code == 401
    assert kinds(app) == ["new-device", "session-ended-moved"]
    [event] = events(app, "session.end")
    assert event["out"] == "deny:moved"


def test_strict_binding_ends_session_on_fast_read_from_elsewhere(app, client, owner, strict):
    tokens = login(at(client))
    client.environ_base["HTTP_AUTHORIZATION"] = bearer(tokens)["Authorization"]
    client.account_id = owner.id
    vault = Writer(client).create()
    item = vault.put()
    path = f"/api/v1/vaults/{vault.id}/items/{item}"
    assert client.get(path).status_code == 200

    thief = at(app.test_client(), address=AWAY)
    assert thief.get(path, headers=bearer(tokens)).status_code == 401

    assert client.get(path).status_code == 401
    assert kinds(app) == ["new-device", "session-ended-moved"]


def test_strict_binding_rejects_write_from_elsewhere_and_ends_session(app, client, owner, strict):
    tokens = login(at(client))
    client.environ_base["HTTP_AUTHORIZATION"] = bearer(tokens)["Authorization"]
    client.account_id = owner.id
    vault = Writer(client).create()
    request = vault.put_request()

    thief = at(app.test_client(), address=AWAY)
    answer = thief.put(
        request.path, json=request.body, headers={**request.headers, **bearer(tokens)}
    )

    assert answer.status_code == 401
    assert events(app, "item.write") == []
    assert client.get(f"{AUTH}/me").status_code == 401
    assert kinds(app) == ["new-device", "session-ended-moved"]


def test_strict_binding_ends_session_on_refresh_from_elsewhere(app, client, owner, strict):
    tokens = login(at(client))

    answer = refresh(at(app.test_client(), address=AWAY), tokens)

    assert (answer.status_code, answer.json["type"][-13:]) == (401, "session-ended")
    assert refresh(client, tokens).status_code == 401
    assert kinds(app) == ["new-device", "session-ended-moved"]


def test_strict_binding_ends_session_once_for_parallel_requests(app, owner, strict):
    tokens = login(at(app.test_client()))

    def ask(_number):
        thief = at(app.test_client(), address=AWAY)
        return thief.get(f"{AUTH}/me", headers=bearer(tokens)).status_code

    assert at_once(ask, 5) == [401] * 5
    assert len(events(app, "session.end")) == 1
    assert kinds(app) == ["new-device", "session-ended-moved"]


def test_strict_binding_accepts_session_from_same_network(app, client, owner, strict):
    tokens = login(at(client))

    for _ in range(3):
        assert client.get(f"{AUTH}/me", headers=bearer(tokens)).status_code == 200
        tokens = refresh(client, tokens).json
    assert kinds(app) == ["new-device"]
