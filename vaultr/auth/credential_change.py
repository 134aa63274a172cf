"""New credentials: verifier, derivation and sealed account key change together, or not at all."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import key_rewrap, password_hashing, recovery_key
from vaultr.auth.account_lock import lock_account, lock_own
from vaultr.auth.credential_schemas import CredentialsIn, NewKeys, RewrapIn, check_sealed
from vaultr.auth.emails import account as letters
from vaultr.auth.errors import KdfRefused, StaleRevision, WrapsDiffer
from vaultr.auth.models import Account, KeySet, Session
from vaultr.auth.password_hashing import Verifier
from vaultr.database.session import lock_rows, transaction
from vaultr.errors import FieldError, Unauthenticated
from vaultr.mail import service as mail
from vaultr.protocol.kdf import UnsafeKdf, canonical, check_kdf, check_salt
from vaultr.request_context import Actor

_IDS_AN_EVENT: Final = 500  # nothing bounds sessions, but an event that is read is bounded

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
class Stored:
    """What new credentials are compared with, under the account's lock."""

    id: UUID
    email: str
    epoch: int
    profile_revision: int
    x25519_public: bytes
    ed25519_public: bytes


def change(actor: Actor, body: CredentialsIn) -> None:
    """Replace the credentials of an account, in one transaction that ends all its other sessions.

    The account is locked first, and epoch and profile revision are compared under the lock: of
    parallel changes over one epoch one succeeds. With ``rewrap`` no other write to the account or
    its vaults is under way meanwhile. The own session goes on by its refresh token; its access
    token is of the old epoch, so it is dead. After a lost answer the stored account key shows
    which of old and new opens; the other one does not. A recovery that is under way ends, with
    the recovery key that was used: the owner is there.

    :raises KdfRefused, NotSealed: derivation out of bounds; a sealed value that cannot be one.
    :raises Busy: the hash queue is full; nothing was changed.
    :raises Unauthenticated: the session ended in the meantime, perhaps by such a change.
    :raises StaleRevision: epoch or profile revision are not the stored ones + 1.
    :raises WrapsDiffer: ``rewrap`` does not name every wrap there is.
    """
    verifier = checked(body)
    with transaction() as work:
        alone = body.rewrap is not None
        lock_own(work, actor, alone=alone, any_epoch=True)
        stored = locked(work, actor.account_id, alone=alone)
        if stored is None:
            raise Unauthenticated
        check_follows(stored, body)
        end_sessions(work, stored.id, but=actor.session_id, reason="credentials")
        recovery_key.end_recoveries(work, stored.id, reason="credentials")
        replace(work, stored, body, verifier, Event.CRED_CHANGE, new_wraps=body.rewrap)
        mail.send(letters.credentials_changed(new_key=body.rewrap is not None), stored.email)


def checked(body: NewKeys) -> Verifier:
    """Check what the body alone shows, and compute what is kept of its auth key.

    :raises KdfRefused, NotSealed, Busy: see `change`.
    """
    try:
        check_kdf(body.kdf.kdf())
        check_salt(body.salt)
    except UnsafeKdf as error:
        at = "/salt" if str(error).startswith("the salt") else "/kdf"
        raise KdfRefused(errors=[FieldError(at, str(error))]) from None
    check_sealed(body)
    return password_hashing.new_verifier(body.auth_key)


def locked(work: Work, account_id: UUID, *, alone: bool) -> Stored | None:
    """Lock an account and read what its new credentials are compared with.

    :param alone: wait for writers of its vaults too, and let none begin.
    """
    lock_account(work, account_id, alone=alone)
    # By statements of their own: what one sees is settled when it begins to wait for a lock.
    key_set = sa.select(_KEY_SET.c.account_id).where(_KEY_SET.c.account_id == account_id)
    lock_rows(work, key_set.with_for_update())
    row = work.execute(_STORED.where(_ACCOUNT.c.id == account_id)).one_or_none()
    return None if row is None else Stored(*row)


def check_follows(stored: Stored, body: NewKeys) -> None:
    """Take only credentials of the epoch and profile revision that come next.

    :raises StaleRevision: it carries those that are stored.
    """
    given = (body.account_key.epoch, body.profile.revision)
    if given != (stored.epoch + 1, stored.profile_revision + 1):
        revision = stored.profile_revision
        raise StaleRevision(
            members={"revision": revision, "epoch": stored.epoch},
            headers={"ETag": f'"{revision}"'},
        )


def replace(
    work: Work,
    stored: Stored,
    body: NewKeys,
    verifier: Verifier,
    event: Event,
    *,
    new_wraps: RewrapIn | None,
) -> None:
    """Store new credentials, which follow those that are ``stored``, and record it as ``event``.

    With ``new_wraps`` the account key is another one, so the recovery key, which opens the old
    one, ends.

    :raises WrapsDiffer: see `change`.
    """
    told = {"kind": "credentials", "from": stored.epoch, "to": body.account_key.epoch}
    told |= {"profile": body.profile.revision, "new_key": "yes" if new_wraps else "no"}
    event_id = audit.record(event, account_id=stored.id, obj=told)
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
        key_rewrap.replace(work, stored.id, new_wraps, event_id)
        recovery_key.end(work, stored.id, reason="new-account-key")
    work.execute(sa.update(Account).where(Account.id == stored.id).values(account))
    work.execute(sa.update(KeySet).where(KeySet.account_id == stored.id).values(key_set))


def end_sessions(
    work: Work, account_id: UUID, *, reason: str, but: UUID | None = None
) -> list[UUID]:
    """End all sessions of an account that is locked, or all but one; give their ids."""
    others = sa.delete(Session).where(Session.account_id == account_id)
    if but is not None:
        others = others.where(Session.id != but)
    gone = sorted(work.execute(others.returning(Session.id)).scalars())
    for first in range(0, len(gone), _IDS_AN_EVENT):
        part = gone[first : first + _IDS_AN_EVENT]
        told = {"kind": "sessions", "ids": [str(one) for one in part]}
        audit.record(Event.SESSION_END, account_id=account_id, obj=told, reason=reason)
    return gone


def _new_identity(stored: Stored, wraps: RewrapIn) -> dict[str, Any]:
    identity = wraps.identity
    faults = [
        FieldError(f"/rewrap/identity/{name}/public", "must be the public half that there is")
        for name, given, known in (
            ("x25519", identity.x25519.public, stored.x25519_public),
            ("ed25519", identity.ed25519.public, stored.ed25519_public),
        )
        if given != known
    ]
    if faults:
        raise WrapsDiffer(errors=faults)
    return {"x25519_sealed": identity.x25519.sealed, "ed25519_sealed": identity.ed25519.sealed}
