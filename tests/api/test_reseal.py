"""`flask keys reseal` prints how many values were resealed, and advice for those it cannot open."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests import factories
from vaultr.auth import second_factor_secrets
from vaultr.auth.models import Factor
from vaultr.database.session import transaction
from vaultr.mail import message
from vaultr.mail import service as mail
from vaultr.mail.message import Email
from vaultr.mail.models import Mail
from vaultr.ops.keys import commands
from vaultr.security import keyring as rings
from vaultr.settings.types import Keys

EMAIL_MESSAGE = Email(kind="greeting", subject="Hello", text="Hello\n", html="<p>Hello</p>\n")
ANN, BOB = "ann@example.org", "bob@example.org"
NONE = {"FACTOR_KEY": 0, "MAIL_KEY": 0}


@pytest.fixture
def rotated(app, monkeypatch):
    """``rotated(old=True)``: add new keys before the old ones, or replace these."""
    monkeypatch.setitem(app.extensions, "security.keyring", app.extensions["security.keyring"])

    def rotate(*, old):
        settings, changed = app.config["SETTINGS"], {}
        for at, name in enumerate(("factor_key", "mail_key"), start=1):
            before = getattr(settings, name).by_id if old else {}
            changed[name] = Keys({"new": bytes([at]) * 32, **before})
        rings.init_app(app, settings.model_copy(update=changed))

    return rotate


@pytest.fixture
def sealed_values(app):
    """Store one factor and two emails, sealed under the current keys."""
    with app.app_context():
        account, factor_id = factories.account(), uuid4()
        sealed = second_factor_secrets.seal_secret(account.id, factor_id, b"secret")
        with transaction() as work:
            work.add(
                Factor(
                    id=factor_id, account_id=account.id, kind="totp", last_step=0,
                    created_at=datetime.now(UTC), audit_event_id=uuid4(), **sealed,
                )
            )  # fmt: skip
            for to in (ANN, BOB):
                mail.send(EMAIL_MESSAGE, to)


def run(app, *arguments):
    return app.test_cli_runner().invoke(commands.keys, ["reseal", *arguments])


def answer(done):
    return done.exit_code, json.loads(done.stdout)


def test_second_reseal_finds_nothing_to_reseal(app, sealed_values, rotated):
    rotated(old=True)

    first, second = run(app, "--json"), run(app, "--json")

    assert answer(first) == (0, {"FACTOR_KEY": 1, "MAIL_KEY": 2, "left": NONE})
    assert answer(second) == (0, {**NONE, "left": NONE})
    assert (first.stderr, run(app).stdout) == ("", "FACTOR_KEY   0\nMAIL_KEY     0\n")


def test_value_under_missing_key_is_reported_until_key_returns(app, sealed_values, rotated):
    rotated(old=False)

    done = run(app, "--json")

    assert answer(done) == (1, {**NONE, "left": {"FACTOR_KEY": 1, "MAIL_KEY": 2}})
    for what in ("FACTOR_KEY: 1 second factors", "MAIL_KEY: 2 emails in the outbox"):
        assert f"{what} cannot be opened and were not changed. If `flask keys" in done.stderr
    rotated(old=True)
    assert answer(run(app, "--json")) == (0, {"FACTOR_KEY": 1, "MAIL_KEY": 2, "left": NONE})


def test_modified_email_is_skipped_without_blocking_others(app, sealed_values, rotated):
    with app.app_context(), transaction() as work:
        changed, whole = work.query(Mail).order_by(Mail.id)
        changed.sealed = changed.sealed[:-1] + bytes([changed.sealed[-1] ^ 1])
        other = whole.id
    rotated(old=True)

    done = run(app)

    assert (done.exit_code, done.stdout) == (1, "FACTOR_KEY   1\nMAIL_KEY     1\n")
    assert "MAIL_KEY: 1 emails in the outbox cannot be opened" in done.stderr
    assert "FACTOR_KEY: " not in done.stderr
    rotated(old=False)
    with app.app_context(), transaction() as work:
        assert message.unseal(other, work.get(Mail, other).sealed)[0] == BOB
