"""A server key can be retired only when nothing needs it: counts, rejections and resealing."""

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from tests import factories
from vaultr.auth import second_factor_secrets
from vaultr.auth.models import Factor, RefreshToken
from vaultr.database.session import transaction
from vaultr.mail import delivery_job, message
from vaultr.mail import service as mail
from vaultr.mail.message import Email
from vaultr.mail.models import Mail
from vaultr.ops.doctor import server_keys as doctor
from vaultr.ops.keys import commands
from vaultr.ops.keys.files import KeyringLocation
from vaultr.security import keyring as rings
from vaultr.settings.types import KEY_SETS, Keys

pytestmark = pytest.mark.both_databases
EMAIL_MESSAGE = Email(kind="greeting", subject="Hello", text="Hello\n", html="<p>Hello</p>\n")
OLD = "test"  # the id of the keys with which the tests' server starts


@pytest.fixture
def folder(app, tmp_path, monkeypatch):
    """The keys of the app as files."""
    settings = app.config["SETTINGS"]
    for name in KEY_SETS:
        by_id = getattr(settings, name.lower()).by_id
        lines = [f"{key_id}:{factories.b64(key)}" for key_id, key in by_id.items()]
        (tmp_path / name.lower()).write_text("\n".join(lines))
    monkeypatch.setitem(app.extensions, "security.keyring", app.extensions["security.keyring"])
    return tmp_path


def run(app, *arguments):
    return app.test_cli_runner().invoke(commands.keys, arguments)


def rotate(app, folder, name):
    """Rotate one keyring, and reload the app's settings; return the id of the new key."""
    for step in ([], ["--reloaded"]):
        done = run(app, "rotate", name, "--dir", str(folder), *step)
        assert done.exit_code == 0, done.output
    by_id = KeyringLocation.of(name, folder, {}).read().by_id
    changed = app.config["SETTINGS"].model_copy(update={name.lower(): Keys(by_id)})
    rings.init_app(app, changed)
    return next(iter(by_id))


def retire(app, folder, name):
    return run(app, "retire", name, OLD, "--dir", str(folder))


def rejected(done, number, what):
    assert done.exit_code == 1
    assert f"{number} {what} still need {OLD}" in done.output
    return True


def needs(app, folder, name):
    rows = json.loads(run(app, "status", "--dir", str(folder), "--json").stdout)
    return {row["key"]: row["count"] for row in rows if row["name"] == name}


def test_pepper_cannot_retire_while_a_verifier_uses_it(app, client, folder):
    with app.app_context():
        for name in ("ann", "bob"):
            factories.account(f"{name}@example.org")
    new = rotate(app, folder, "PEPPER")

    assert rejected(retire(app, folder, "PEPPER"), 2, "accounts and waiting signups")
    assert client.post("/api/v1/auth/login", json=factories.login()).status_code == 200
    assert needs(app, folder, "PEPPER") == {new: 1, OLD: 1}
    login = factories.login("bob@example.org")
    assert client.post("/api/v1/auth/login", json=login).status_code == 200

    assert retire(app, folder, "PEPPER").exit_code == 0
    assert [*KeyringLocation.of("PEPPER", folder, {}).read().by_id] == [new]


def test_pepper_cannot_retire_while_a_pending_signup_uses_it(app, client, folder):
    assert client.post("/api/v1/auth/signup", json=factories.signup()).status_code == 202
    rotate(app, folder, "PEPPER")

    assert rejected(retire(app, folder, "PEPPER"), 1, "accounts and waiting signups")


def test_token_key_cannot_retire_while_its_tokens_are_valid(app, client, folder):
    with app.app_context():
        first, second = factories.session(), factories.session()
    new = rotate(app, folder, "JWT_SECRET")

    assert client.get("/api/v1/auth/me", headers=first.headers).status_code == 200
    assert rejected(retire(app, folder, "JWT_SECRET"), 2, "sessions with a live token")
    renewed = client.post("/api/v1/auth/refresh", json={"refresh_token": first.refresh_token})
    assert needs(app, folder, "JWT_SECRET") == {new: 1, OLD: 2}
    _age(app, OLD, minutes=9)
    assert rejected(retire(app, folder, "JWT_SECRET"), 2, "sessions with a live token")
    _age(app, OLD, minutes=11)

    assert retire(app, folder, "JWT_SECRET").exit_code == 0
    rings.init_app(app, _with_file(app, folder, "JWT_SECRET"))
    headers = {"Authorization": f"Bearer {renewed.json['access_token']}"}
    assert client.get("/api/v1/auth/me", headers=headers).status_code == 200
    again = client.post("/api/v1/auth/refresh", json={"refresh_token": second.refresh_token})
    assert again.status_code == 200


def test_token_without_key_id_blocks_retiring_any_key(app, folder):
    with app.app_context():
        factories.session()
        with transaction() as work:
            work.execute(sa.update(RefreshToken).values(signed_by=None))
    rotate(app, folder, "JWT_SECRET")

    assert rejected(retire(app, folder, "JWT_SECRET"), 1, "sessions with a live token")


def test_factor_key_can_retire_after_reseal(app, folder):
    with app.app_context():
        account = factories.account()
        secrets = {uuid4(): b"secret %d" % number for number in range(3)}
        with transaction() as work:
            for factor_id, secret in secrets.items():
                stored = second_factor_secrets.seal_secret(account.id, factor_id, secret)
                work.add(_factor(account.id, factor_id, stored))
    new = rotate(app, folder, "FACTOR_KEY")
    assert rejected(retire(app, folder, "FACTOR_KEY"), 3, "second factors")

    assert run(app, "reseal").exit_code == 0

    assert needs(app, folder, "FACTOR_KEY") == {new: 3, OLD: 0}
    assert retire(app, folder, "FACTOR_KEY").exit_code == 0
    rings.init_app(app, _with_file(app, folder, "FACTOR_KEY"))
    with app.app_context(), transaction() as work:
        for row in work.query(Factor):
            assert (
                second_factor_secrets.open_secret(account.id, row.id, row.sealed) == secrets[row.id]
            )


def test_mail_key_can_retire_when_no_email_waits(app, folder):
    with app.app_context(), transaction():
        for name in ("ann", "bob"):
            mail.send(EMAIL_MESSAGE, f"{name}@example.org")
    new = rotate(app, folder, "MAIL_KEY")
    assert rejected(retire(app, folder, "MAIL_KEY"), 2, "emails in the outbox")

    assert run(app, "reseal").exit_code == 0

    assert needs(app, folder, "MAIL_KEY") == {new: 2, OLD: 0}
    assert retire(app, folder, "MAIL_KEY").exit_code == 0
    rings.init_app(app, _with_file(app, folder, "MAIL_KEY"))
    with app.app_context(), transaction() as work:
        opened = {message.unseal(row.id, row.sealed)[0] for row in work.query(Mail)}
    assert opened == {"ann@example.org", "bob@example.org"}


def test_mail_key_can_retire_after_email_is_sent(app, folder):
    with app.app_context():
        with transaction():
            mail.send(EMAIL_MESSAGE, "ann@example.org")
        delivery_job.run()
    rotate(app, folder, "MAIL_KEY")

    assert retire(app, folder, "MAIL_KEY").exit_code == 0


def test_recipient_limit_applies_across_mail_key_rotation(app, folder, set_to):
    set_to(app, limit_mail="2/3600")
    with app.app_context(), transaction():
        sent = [mail.send(EMAIL_MESSAGE, "ann@example.org") for _ in range(2)]
    rotate(app, folder, "MAIL_KEY")

    with app.app_context(), transaction():
        sent += [
            mail.send(EMAIL_MESSAGE, "ann@example.org"),
            mail.send(EMAIL_MESSAGE, "bob@example.org"),
        ]

    assert sent == [True, True, False, True]


def test_audit_key_cannot_retire_while_its_events_exist(app, folder):
    with app.app_context():
        factories.session()
    events = len(factories.events(app))
    rotate(app, folder, "AUDIT_KEY")

    assert rejected(retire(app, folder, "AUDIT_KEY"), events, "audit events")


def test_key_status_shows_ids_and_counts_but_no_key(app, folder):
    announced = run(app, "rotate", "PEPPER", "--dir", str(folder))
    assert announced.exit_code == 0
    with app.app_context():
        factories.account()

    rows = json.loads(run(app, "status", "--dir", str(folder), "--json").stdout)
    shown = run(app, "status", "--dir", str(folder)).stdout

    assert {row["name"] for row in rows} == {*KEY_SETS}
    pepper = [row for row in rows if row["name"] == "PEPPER"]
    assert [(row["role"], row["count"]) for row in pepper] == [("in use", 1), ("announced", 0)]
    for name in KEY_SETS:
        for line in (folder / name.lower()).read_text().split():
            assert line.partition(":")[2] not in shown
            assert line.partition(":")[0] in shown


def test_key_status_lists_keys_in_use(app):
    rows = json.loads(run(app, "status", "--json").stdout)

    assert {(row["key"], row["role"]) for row in rows} == {(OLD, "in use")}


def _needed_everywhere(app):
    """Store values that need each key except JWT_SECRET."""
    with app.app_context():
        account, factor_id = factories.account(), uuid4()
        stored = second_factor_secrets.seal_secret(account.id, factor_id, b"secret")
        with transaction() as work:
            work.add(_factor(account.id, factor_id, stored))
        mail.send(EMAIL_MESSAGE, "ann@example.org")
        factories.session()


@pytest.fixture
def replaced(app, monkeypatch):
    """Load other keys instead of the current ones, as after a restore with a wrong set."""
    monkeypatch.setitem(app.extensions, "security.keyring", app.extensions["security.keyring"])

    def replace():
        other = {n.lower(): Keys({"other": bytes([at]) * 32}) for at, n in enumerate(KEY_SETS)}
        changed = app.config["SETTINGS"].model_copy(update=other)
        rings.init_app(app, changed)
        return changed

    return replace


def test_missing_key_in_use_is_reported(app, replaced):
    _needed_everywhere(app)
    with app.app_context():
        found = list(doctor.check_needed(app.config["SETTINGS"]))
        assert [one.level for one in found] == ["ok"]
        settings = replaced()

        problems = list(doctor.check_needed(settings))

    done = run(app, "status", "--json")
    rows = json.loads(done.stdout)
    missing = [(row["name"], row["key"]) for row in rows if row["role"] == "missing"]
    assert missing == [
        ("PEPPER", OLD), ("FACTOR_KEY", OLD), ("MAIL_KEY", OLD), ("AUDIT_KEY", OLD),
    ]  # fmt: skip
    assert all(row["count"] > 0 for row in rows if row["role"] == "missing")
    assert done.exit_code == 1
    assert [one.level for one in problems] == ["problem"] * 3
    says = f"PEPPER: 1 accounts and waiting signups need {OLD}, which is missing"
    assert problems[0].says == says


def test_current_key_cannot_retire(app, folder):
    done = retire(app, folder, "PEPPER")

    assert (done.exit_code, "is in use" in done.output) == (1, True)


def _with_file(app, folder, name):
    by_id = KeyringLocation.of(name, folder, {}).read().by_id
    return app.config["SETTINGS"].model_copy(update={name.lower(): Keys(by_id)})


def _age(app, key_id, *, minutes):
    moment = datetime.now(UTC) - timedelta(minutes=minutes)
    with app.app_context(), transaction() as work:
        change = sa.update(RefreshToken).where(RefreshToken.signed_by == key_id)
        work.execute(change.values(created_at=moment))


def _factor(account_id, factor_id, snapshot):
    return Factor(
        id=factor_id, account_id=account_id, kind="totp", last_step=0,
        created_at=datetime.now(UTC), audit_event_id=uuid4(), **snapshot,
    )  # fmt: skip


def test_same_key_in_two_folders_has_same_fingerprint(app, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    runner = app.test_cli_runner()
    for folder in (one, other):
        runner.invoke(commands.keys, ["generate", "--dir", str(folder)])
    (other / "pepper").write_text((one / "pepper").read_text())

    found = [
        {row["name"]: row["fingerprint"] for row in json.loads(done.stdout)}
        for folder in (one, other)
        if (done := runner.invoke(commands.keys, ["fingerprint", "--dir", str(folder), "--json"]))
    ]

    assert found[0]["PEPPER"] == found[1]["PEPPER"]
    assert found[0]["MAIL_KEY"] != found[1]["MAIL_KEY"]
    assert (one / "pepper").read_text().partition(":")[2].strip() not in str(found)
