"""A server key is lost and replaced by a new one: what is lost, and what is not."""

import contextlib
import json

import pytest

from tests import factories
from tests.harness import outbox
from tests.harness.app_fixtures import KEYS
from tests.harness.second_factors import confirmed
from vaultr.audit import chain
from vaultr.audit.models import AuditEvent
from vaultr.database.session import transaction
from vaultr.security import keyring
from vaultr.settings.loader import generate_keys
from vaultr.settings.types import Keys

LOGIN, REFRESH = "/api/v1/auth/login", "/api/v1/auth/refresh"
# The steps of docs/runbook.md under "Lost keys".
LOST = {
    "JWT_SECRET": {"access token"},
    "PEPPER": {"login", "login with second factor", "login with recovery code"},
    "FACTOR_KEY": {"login with second factor"},
    "MAIL_KEY": {"waiting email"},
    "AUDIT_KEY": {"MACs of old events"},
}


@pytest.fixture
def lose(app):
    """``lose("PEPPER")``: replace a key by a new one, until the test ends."""
    before = keyring.KEYS.get(app)

    def replace(name):
        texts = {**KEYS, name: generate_keys("new")[name]}
        rings = {
            ring: keyring.KeyRing(Keys.parse(texts[one])) for one, ring in keyring.RINGS.items()
        }
        keyring.KEYS.set(app, keyring.ServerKeys(**rings))

    yield replace
    keyring.KEYS.set(app, before)


def succeeds(client, **body):
    return client.post(LOGIN, json=factories.login(**body)).status_code == 200


def has_waiting_email(app):
    with contextlib.suppress(keyring.CannotOpen):
        return bool(outbox.emails(app, "carol@example.org"))
    return False


def macs_verify(app):
    with app.app_context(), transaction() as work:
        keys = keyring.current().audit.keys.by_id
        return all(
            (key := keys.get(json.loads(one.body)["k"])) is not None
            and chain.link(key, one.prev_hash, one.body)[0] == one.mac
            for one in work.query(AuditEvent)
        )


@pytest.mark.parametrize("name", LOST)
def test_lost_key_loses_only_what_the_runbook_lists(app, as_ann, client, lose, name):
    with app.app_context():
        writer = factories.vault("bob@example.org")
        writer.put(text="a secret")
    phone, codes = confirmed(as_ann)
    session = client.post(LOGIN, json=factories.login("bob@example.org")).json
    client.post("/api/v1/auth/signup", json=factories.signup("carol@example.org"))
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    refresh = {"refresh_token": session["refresh_token"]}

    lose(name)

    kept = {
        "access token": client.get("/api/v1/auth/me", headers=bearer).status_code == 200,
        "refresh token": client.post(REFRESH, json=refresh).status_code == 200,
        "login": succeeds(client, email="bob@example.org"),
        "login with second factor": succeeds(client, totp=phone.next_code()),
        "login with recovery code": succeeds(client, recovery_code=codes[0]),
        "waiting email": has_waiting_email(app),
        "MACs of old events": macs_verify(app),
    }
    assert {what for what, is_kept in kept.items() if not is_kept} == LOST[name]
    with app.app_context():
        again = factories.session(factories.owner("bob@example.org"))
    writer.client.environ_base["HTTP_AUTHORIZATION"] = again.headers["Authorization"]
    assert writer.full().state.items == writer.state.items
