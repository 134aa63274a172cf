"""Credential changes: verifier, KDF parameters and sealed account key change together."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import key_rewrap, known_devices, login_throttle, password_hashing, recovery_key
from vaultr.auth.account_lock import lock_account, lock_own_account
from vaultr.auth.credential_schemas import CredentialsIn, NewKeys, RewrapIn, check_sealed
from vaultr.auth.emails import account as emails
from vaultr.auth.errors import KdfRejected, StaleRevision, WrapsDiffer
from vaultr.auth.models import Account, KeySet, Session
from vaultr.auth.password_hashing import Verifier
from vaultr.database.session import lock_rows, one_statement, transaction
from vaultr.errors import FieldError, Unauthenticated
from vaultr.mail import service as mail
from vaultr.protocol.kdf import UnsafeKdf, canonical, check_kdf, check_salt
from vaultr.request_context import Actor
from vaultr.wire.preconditions import etag

_IDS_AN_EVENT: Final = 500  # limits the size of an event

_ACCOUNT: Final = Account.__table__
_KEY_SET: Final = KeySet.__table__
_STORED: Final = sa.select(
    _ACCOUNT.c.id,
    _ACCOUNT.c.email,
    _ACCOUNT.c.epoch,
    _KEY_SET.c.profile_revision,
    _KEY_SET.c.x25519_public,
    _KEY_SET.c.ed25519_public,
).join_from(_ACCOUNT, _KEY_SET, _KEY_SET.c.account_id == _ACCOUNT.c.id)


@dataclass(frozen=True, slots=True)
class StoredCredentials:
    """The stored values that new credentials are compared with, read under the account's lock."""

    id: UUID
    email: str
    epoch: int
    profile_revision: int
    x25519_public: bytes
    ed25519_public: bytes


def change_credentials(actor: Actor, body: CredentialsIn) -> None:
    """Replace the credentials of an account and end all its other sessions, in one transaction.

    Epoch and profile revision are compared under the account's lock, so only one of several
    parallel changes succeeds. With ``rewrap``, no other write to the account or its vaults runs at
    the same time. The actor's session continues with its refresh token; its access token has the
    old epoch and is invalid. After a lost response, the client tries both credentials to find out
    which are valid. A running recovery ends and its recovery key is deleted, because the owner has
    access.

    :raises KdfRejected, NotSealed: the KDF parameters are out of bounds; a value is not sealed.
    :raises Busy: the hash queue is full; nothing was changed.
    :raises TooMany: the account's sessions have requested too many hashes.
    :raises Unauthenticated: the session ended in the meantime, perhaps by another change.
    :raises StaleRevision: epoch or profile revision is not the stored one + 1.
    :raises WrapsDiffer: ``rewrap`` does not name every wrap of the account exactly once.
    """
    check_body(body)
    with one_statement() as connection:
        row = connection.execute(_STORED.where(_ACCOUNT.c.id == actor.account_id)).one_or_none()
    if row is None:
        raise Unauthenticated
    # checked again under the lock, after the hash
    check_next_revision(StoredCredentials(*row), body)
    password_hashing.count_for_account(actor.account_id)
    counter = login_throttle.session_counter(actor.session_id)
    verifier = password_hashing.new_verifier(body.auth_key, counter=counter)
    with transaction() as work:
        block_writers = body.rewrap is not None
        lock_own_account(work, actor, block_writers=block_writers, any_epoch=True)
        stored = lock_credentials(work, actor.account_id, block_writers=block_writers)
        if stored is None:
            raise Unauthenticated
        check_next_revision(stored, body)
        end_sessions(work, stored.id, keep=actor.session_id, reason="credentials")
        recovery_key.end_recoveries(work, stored.id, reason="credentials")
        replace_credentials(work, stored, body, verifier, Event.CRED_CHANGE, new_wraps=body.rewrap)
        mail.send(emails.credentials_changed(new_key=body.rewrap is not None), stored.email)


def check_body(body: NewKeys) -> None:
    """Check the values of the body, without the database.

    :raises KdfRejected, NotSealed: see `change_credentials`.
    """
    try:
        check_kdf(body.kdf.kdf())
        check_salt(body.salt)
    except UnsafeKdf as error:
        at = "/salt" if str(error).startswith("the salt") else "/kdf"
        raise KdfRejected(errors=[FieldError(at, str(error))]) from None
    check_sealed(body)


def lock_credentials(
    work: Work, account_id: UUID, *, block_writers: bool
) -> StoredCredentials | None:
    """Lock an account, and return the values that new credentials are compared with.

    :param block_writers: also wait for writers to its vaults, and block new ones.
    """
    lock_account(work, account_id, block_writers=block_writers)
    # Lock first, read in a later statement: a statement's snapshot is older than its lock.
    key_set = sa.select(_KEY_SET.c.account_id).where(_KEY_SET.c.account_id == account_id)
    lock_rows(work, key_set.with_for_update())
    row = work.execute(_STORED.where(_ACCOUNT.c.id == account_id)).one_or_none()
    return None if row is None else StoredCredentials(*row)


def check_next_revision(stored: StoredCredentials, body: NewKeys) -> None:
    """Check that epoch and profile revision follow the stored ones.

    :raises StaleRevision: they do not; the error contains the stored values.
    """
    sent = (body.account_key.epoch, body.profile.revision)
    if sent != (stored.epoch + 1, stored.profile_revision + 1):
        revision = stored.profile_revision
        raise StaleRevision(
            members={"revision": revision, "epoch": stored.epoch},
            headers=etag(revision),
        )


def replace_credentials(
    work: Work,
    stored: StoredCredentials,
    body: NewKeys,
    verifier: Verifier,
    event: Event,
    *,
    new_wraps: RewrapIn | None,
) -> None:
    """Store new credentials that follow ``stored``, record ``event``, forget all known devices.

    With ``new_wraps`` this also replaces the account key, and deletes the recovery key, because it
    opens only the old account key.

    :raises WrapsDiffer: see `change_credentials`.
    """
    obj = {"kind": "credentials", "from": stored.epoch, "to": body.account_key.epoch}
    obj |= {"profile": body.profile.revision, "new_key": "yes" if new_wraps else "no"}
    event_id = audit.record(event, account_id=stored.id, obj=obj)
    account = {
        "epoch": body.account_key.epoch,
        "kdf": canonical(body.kdf.kdf()),
        "salt": body.salt,
        "verifier": verifier.phc,
        "pepper_id": verifier.pepper_id,
        "audit_event_id": event_id,
    }
    key_set: dict[str, Any] = {
        "account_key": body.account_key.sealed,
        "profile": body.profile.sealed,
        "profile_revision": body.profile.revision,
        "audit_event_id": event_id,
    }
    if new_wraps is not None:
        key_set |= _new_identity(stored, new_wraps)
        key_rewrap.replace_wraps(work, stored.id, new_wraps, event_id)
        recovery_key.delete_recovery_key(work, stored.id, reason="new-account-key")
    known_devices.forget_all(work, stored.id)
    work.execute(sa.update(Account).where(Account.id == stored.id).values(account))
    work.execute(sa.update(KeySet).where(KeySet.account_id == stored.id).values(key_set))


def end_sessions(
    work: Work, account_id: UUID, *, reason: str, keep: UUID | None = None
) -> list[UUID]:
    """End all sessions of a locked account, except the session ``keep``; return their ids."""
    others = sa.delete(Session).where(Session.account_id == account_id)
    if keep is not None:
        others = others.where(Session.id != keep)
    ended = sorted(work.execute(others.returning(Session.id)).scalars())
    for first in range(0, len(ended), _IDS_AN_EVENT):
        part = ended[first : first + _IDS_AN_EVENT]
        obj = {"kind": "sessions", "ids": [str(session_id) for session_id in part]}
        audit.record(Event.SESSION_END, account_id=account_id, obj=obj, reason=reason)
    return ended


def _new_identity(stored: StoredCredentials, wraps: RewrapIn) -> dict[str, Any]:
    identity = wraps.identity
    errors = [
        FieldError(f"/rewrap/identity/{name}/public", "must be the stored public key")
        for name, sent, known in (
            ("x25519", identity.x25519.public, stored.x25519_public),
            ("ed25519", identity.ed25519.public, stored.ed25519_public),
        )
        if sent != known
    ]
    if errors:
        raise WrapsDiffer(errors=errors)
    return {"x25519_sealed": identity.x25519.sealed, "ed25519_sealed": identity.ed25519.sealed}
