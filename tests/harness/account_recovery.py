"""Helpers for recovery: an account with a recovery key whose password is lost."""

import re
from datetime import UTC, datetime, timedelta

from tests import factories
from tests.harness.key_replacement import new_keys, rewrapped
from tests.harness.outbox import emails
from vaultr.auth.models import Recovery
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64

ANN = "ann@example.org"
NEW = b"n" * 32
RECOVER = "/api/v1/auth/recover"
START, COMPLETE = f"{RECOVER}/start", f"{RECOVER}/complete"
CANCEL = f"{RECOVER}/cancel"
TOKEN = re.compile(r"^([A-Za-z0-9_-]{43})$", re.M)
LINK = re.compile(r"^http\S+/recover/cancel\?token=([A-Za-z0-9_-]+)$", re.M)


def with_recovery_key(app, email=ANN):
    """Store a recovery key for an account; return the account's id."""
    with app.app_context(), transaction() as work:
        account_id = factories.owner(email).id
        work.add(factories.recovery_key(account_id))
    return account_id


def mailed(app, email=ANN):
    """Return the emailed recovery tokens, oldest first."""
    found = [
        email_message.text
        for email_message in emails(app, email)
        if email_message.kind == "recover"
    ]
    return [TOKEN.search(text)[1] for text in found]


def requested(app, email=ANN):
    """Request a recovery of an account; return the emailed token."""
    assert app.test_client().post(RECOVER, json={"email": email}).status_code == 202
    return mailed(app, email)[-1]


def proof(token, account_id, **more):
    """Return a body that proves access to the mailbox and the recovery key."""
    return {"token": token, "rk_auth": b64(factories.recovery_auth(account_id))} | more


def begun(app, email=ANN):
    """Request and start a recovery; return the account's id and the token."""
    account_id = with_recovery_key(app, email)
    token = requested(app, email)
    assert app.test_client().post(START, json=proof(token, account_id)).status_code == 200
    return account_id, token


def completion(app, token, account_id, auth_key=NEW, **more):
    """Return a body that completes a recovery."""
    keys = new_keys(auth_key, **more)
    return proof(token, account_id) | keys | {"rewrap": rewrapped(app, account_id)}


def after_the_wait(time_machine, hours=24):
    """Move the clock to the time at which a recovery that starts now can be completed."""
    time_machine.move_to(datetime.now(UTC) + timedelta(hours=hours, seconds=1))


def tokens_left(app):
    """Return the number of stored valid tokens."""
    with app.app_context(), transaction() as work:
        return work.query(Recovery).filter(Recovery.expires_at > datetime.now(UTC)).count()
