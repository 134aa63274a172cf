"""Rows with default values that a test needs before it begins.

Call these functions inside ``app.app_context()``; each call commits.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from argon2 import PasswordHasher
from flask import current_app

from tests.harness.vault_writer import Writer
from vaultr.audit.models import AuditEvent
from vaultr.auth import password_hashing, sessions
from vaultr.auth.models import Account, KeySet, RecoveryKey, Session
from vaultr.auth.password_hashing import Verifier
from vaultr.auth.sessions import Device, SessionTokens
from vaultr.database.session import transaction
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import Kdf, canonical
from vaultr.protocol.sealed import OVERHEAD, is_sealed, padded_size
from vaultr.security import keyring

_verifiers = {}


@dataclass(frozen=True)
class SignedIn:
    """A session and its tokens."""

    id: UUID
    account_id: UUID
    access_token: str
    refresh_token: str

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.access_token}"}


@dataclass(frozen=True)
class StoredItem:
    """The ids and path of a stored item."""

    vault_id: UUID
    id: UUID
    revision: int

    @property
    def path(self):
        return f"/api/v1/vaults/{self.vault_id}/items/{self.id}"


def sealed(size=60):
    """Return bytes in the form of a sealed value of ``size`` bytes; nothing can open them."""
    while True:
        value = b"\x01" + secrets.token_bytes(OVERHEAD - 1 + padded_size(size + 4))
        if is_sealed(value):
            return value


def auth_key(email):
    """Return the auth key of the account that ``account`` created."""
    return hashlib.sha256(f"auth key of {email}".encode()).digest()


def account(email="ann@example.org", **more):
    """Create an account; its auth key is ``auth_key(email)``."""
    account_id = more.pop("id", None) or uuid4()
    verifier = _verifier(email)
    row = Account(
        id=account_id,
        email=email,
        auth_scheme="vp1",
        kdf=canonical(Kdf.RECOMMENDED),
        salt=secrets.token_bytes(32),
        verifier=verifier.phc,
        pepper_id=verifier.pepper_id,
        epoch=1,
        created_at=datetime.now(UTC),
        audit_event_id=uuid4(),
    )
    for name, value in more.items():
        setattr(row, name, value)
    key_set = KeySet(
        account_id=account_id,
        account_key=sealed(32),
        x25519_public=secrets.token_bytes(32),
        x25519_sealed=sealed(32),
        ed25519_public=secrets.token_bytes(32),
        ed25519_sealed=sealed(32),
        profile=sealed(500),
        profile_revision=1,
        audit_event_id=uuid4(),
    )
    with transaction() as work:
        work.add(row)
        work.flush()
        work.add(key_set)
    return row


def owner(email):
    """Return the account of an address; create it if it does not exist."""
    with transaction() as work:
        found = work.query(Account).filter_by(email=email).one_or_none()
    return found or account(email)


def session(of=None, *, device_id=None, name="laptop"):
    """Create a session of an account (by default Ann's)."""
    whose = of or owner("ann@example.org")
    device = Device.of(device_id or uuid4(), name)
    with transaction() as work:
        session_id, refresh_token = sessions.start_session(work, whose.id, device)
    opened = SessionTokens.of(whose.id, session_id, whose.epoch, refresh_token)
    return SignedIn(session_id, whose.id, opened.access_token, opened.refresh_token)


def vault(email="ann@example.org"):
    """Create a vault of an account; return its owner's client, a `Writer`."""
    client = current_app.test_client()
    signed_in = session(owner(email))
    client.environ_base["HTTP_AUTHORIZATION"] = signed_in.headers["Authorization"]
    client.account_id = signed_in.account_id
    return Writer(client).create()


def item(of, text="hunter2", **more):
    """Put an item into a vault that `vault` created; return its ids."""
    item_id = of.put(text=text, **more)
    return StoredItem(of.id, item_id, of.state.items[item_id].revision)


def change_session(session_id, **values):
    """Set columns of a session, such as its times."""
    with transaction() as work:
        row = work.get(Session, session_id)
        for name, value in values.items():
            setattr(row, name, value)


def grow_stale(session_id):
    """Make a session's last proof of the password too old for a step-up."""
    change_session(session_id, proven_at=datetime.now(UTC) - timedelta(hours=1))


def recovery_auth(account_id):
    """Return the proof of the recovery key that `recovery_key` created."""
    return hashlib.sha256(b"recovery" + account_id.bytes).digest()


def recovery_key(account_id, epoch=1):
    """Return a recovery key to store; ``recovery_auth(account_id)`` proves it."""
    return RecoveryKey(
        account_id=account_id,
        verifier=hashlib.sha256(recovery_auth(account_id)).digest(),
        sealed=sealed(32),
        epoch=epoch,
        created_at=datetime.now(UTC),
        audit_event_id=uuid4(),
    )


def signup(email="ann@example.org", **more):
    """Return a valid body for ``POST /auth/signup``; ``more`` replaces members."""
    identity = {
        kind: {"public": b64(secrets.token_bytes(32)), "sealed": b64(sealed(32))}
        for kind in ("x25519", "ed25519")
    }
    return {
        "account_id": str(uuid4()),
        "email": email,
        "auth_scheme": "vp1",
        "auth_key": b64(auth_key(email.strip().lower())),
        "kdf": Kdf.RECOMMENDED.to_json(),
        "salt": b64(secrets.token_bytes(32)),
        "account_key": {"epoch": 1, "sealed": b64(sealed(32))},
        "identity": identity,
        "profile": {"revision": 1, "sealed": b64(sealed(500))},
    } | more


def login(email="ann@example.org", *, key=None, device_id=None, **more):
    """Return a valid body for ``POST /auth/login``."""
    return {
        "email": email,
        "auth_key": b64(auth_key(email) if key is None else key),
        "device": {"id": str(device_id or uuid4()), "name": "laptop"},
    } | more


def events(app):
    """Return the bodies of all audit events, ordered by time."""
    with app.app_context(), transaction() as work:
        rows = work.query(AuditEvent).order_by(AuditEvent.t, AuditEvent.event_id).all()
        return [json.loads(row.body) for row in rows]


def verifier_of(row):
    """Return the stored verifier of an account's auth key."""
    return Verifier(row.verifier, row.pepper_id)


def cheap_verifier(email):
    """Return a verifier of the account's auth key at a minimal cost."""
    proof = hmac.digest(keyring.current().pepper.current, auth_key(email), "sha256")
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(proof)


def _verifier(email):
    key = (email, password_hashing._LIVE.memory_cost)
    if key not in _verifiers:
        _verifiers[key] = password_hashing.new_verifier(auth_key(email))
    return _verifiers[key]
