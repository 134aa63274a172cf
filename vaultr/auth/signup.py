"""Signup: a signup waits until its email is confirmed, then becomes an account."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import opaque_tokens, password_hashing
from vaultr.auth.decoy_accounts import address_hash, is_decoy
from vaultr.auth.email_addresses import is_taken
from vaultr.auth.emails import account as emails
from vaultr.auth.errors import KdfRejected, TokenInvalid
from vaultr.auth.models import Account, KeySet, RecoveryKey, WaitingSignup
from vaultr.auth.password_hashing import Verifier
from vaultr.auth.schemas import ResendIn, SignupIn
from vaultr.database.session import postgresql, transaction
from vaultr.errors import FieldError
from vaultr.mail import service as mail
from vaultr.protocol.encoding import b64
from vaultr.protocol.kdf import UnsafeKdf, canonical, check_kdf, check_salt
from vaultr.wire import field_types

CONFIRM_WITHIN: Final = timedelta(hours=24)
WAITING_SIGNUPS: Final = 5

_DERIVATION: Final = ("auth_scheme", "kdf", "salt", "verifier", "pepper_id")
_SEALED: Final = (
    "account_key", "x25519_public", "x25519_sealed", "ed25519_public", "ed25519_sealed", "profile",
)  # fmt: skip


def sign_up(body: SignupIn) -> None:
    """Store a signup until its email is confirmed, for at most 24 hours.

    Only the email shows whether the address has an account. If it has one, the same hash is
    computed and the same rows are written, but the signup expires immediately, its token is
    unknown, and the email is a notice to the owner. Up to five signups can wait for one address. A
    sixth replaces the oldest one, but only if its email is sent, so that signups over the email
    limit invalidate nothing. If the account id was ever used, or belongs to a decoy account (which
    looks the same to clients), nothing is created or sent.

    :raises KdfRejected: KDF parameters or salt out of bounds.
    :raises NotSealed: a value cannot be a sealed value.
    :raises Busy: the hash queue is full; nothing was stored.
    """
    _check(body)
    verifier = password_hashing.new_verifier(body.auth_key)
    decoy = is_decoy(body.account_id)
    token, now = opaque_tokens.new_email_token(), clock.now()
    with transaction() as work:
        _lock_address(work, body.email)
        owned = is_taken(work, body.email)
        if _was_used(work, body.account_id) or decoy:
            return
        row = {
            **_row(body, verifier),
            "token_hash": opaque_tokens.token_hash(token),
            "created_at": now,
            "expires_at": now if owned else now + CONFIRM_WITHIN,
        }
        work.execute(sa.insert(WaitingSignup), row)
        message = emails.existing_owner() if owned else emails.verification(body.account_id, token)
        sent = mail.send(message, body.email)
        _keep_five(work, body.email, to_delete=None if sent else row["id"])


def resend_verification(body: ResendIn) -> None:
    """Email a new token for a waiting signup; it replaces the old one and restarts the 24 hours.

    If no signup waits, the same statements run, but nothing is sent. Over the email limit nothing
    changes, so the last token stays valid. This locks the address, so a parallel confirmation by
    the old token runs before or after it.
    """
    token, now = opaque_tokens.new_email_token(), clock.now()
    with transaction() as work:
        _lock_address(work, body.email)
        waits = (
            sa.select(WaitingSignup.id)
            .where(
                WaitingSignup.email == body.email,
                WaitingSignup.account_id == body.account_id,
                WaitingSignup.expires_at > now,
            )
            .order_by(WaitingSignup.created_at.desc(), WaitingSignup.id)
            .limit(1)
        )
        found = work.execute(waits).scalar_one_or_none()
        message = emails.verification(body.account_id, token)
        sent = mail.send(message, body.email, decoy=found is None)
        renewed = sa.update(WaitingSignup).where(
            WaitingSignup.id == (found if found and sent else uuid4())
        )
        work.execute(
            renewed.values(
                token_hash=opaque_tokens.token_hash(token), expires_at=now + CONFIRM_WITHIN
            )
        )


def confirm_signup(token: str) -> None:
    """Create the account and keys for an emailed token, in one transaction.

    The address is locked first. Only one of several parallel confirmations creates an account; all
    other signups for the address are deleted.

    :raises TokenInvalid: unknown, used, expired or replaced; another signup was confirmed first; or
        the account id was taken in the meantime. The response is the same for all.
    """
    with transaction() as work:
        confirm_signup_row(work, WaitingSignup.token_hash == opaque_tokens.token_hash(token))


def confirm_signup_row(work: Work, which: sa.ColumnElement[bool]) -> None:
    """Create the account of the signup that a condition selects, in the open transaction.

    :raises TokenInvalid: no such signup waits, or it cannot become an account.
    """
    email = work.execute(sa.select(WaitingSignup.email).where(which)).scalar_one_or_none()
    if email is None:
        raise TokenInvalid
    _lock_address(work, email)
    alive = sa.and_(which, WaitingSignup.expires_at > clock.now())
    # Read again under the lock, even if this session has already loaded the row.
    query = sa.select(WaitingSignup).where(alive).execution_options(populate_existing=True)
    waiting = work.scalars(query).one_or_none()
    if waiting is None:
        raise TokenInvalid
    _make_account(work, waiting)
    work.execute(sa.delete(WaitingSignup).where(WaitingSignup.email == email))


def remove_expired() -> bool:
    """Delete up to 500 expired signups; return whether more may be left."""
    most = 500
    with transaction() as work:
        expired = sa.select(WaitingSignup.id).where(WaitingSignup.expires_at <= clock.now())
        expired = expired.with_for_update(skip_locked=True)  # avoids deadlocks
        deleted = work.execute(
            sa.delete(WaitingSignup)
            .where(WaitingSignup.id.in_(expired.limit(most)))
            .returning(WaitingSignup.id)
        )
        return len(deleted.all()) == most


def _check(body: SignupIn) -> None:
    try:
        check_kdf(body.kdf.kdf())
    except UnsafeKdf as error:
        raise KdfRejected(errors=[FieldError("/kdf", str(error))]) from None
    try:
        check_salt(body.salt)
    except UnsafeKdf as error:
        raise KdfRejected(errors=[FieldError("/salt", str(error))]) from None
    sealed = {
        "/account_key/sealed": body.account_key.sealed,
        "/identity/x25519/sealed": body.identity.x25519.sealed,
        "/identity/ed25519/sealed": body.identity.ed25519.sealed,
        "/profile/sealed": body.profile.sealed,
    }
    if body.recovery_key is not None:
        sealed["/recovery_key/sealed"] = body.recovery_key.sealed
    field_types.check_sealed(sealed)


def _row(body: SignupIn, verifier: Verifier) -> dict[str, Any]:
    recovery = body.recovery_key
    return {
        "id": uuid4(),
        "email": body.email,
        "account_id": body.account_id,
        "auth_scheme": body.auth_scheme,
        "kdf": canonical(body.kdf.kdf()),
        "salt": body.salt,
        "verifier": verifier.phc,
        "pepper_id": verifier.pepper_id,
        "account_key": body.account_key.sealed,
        "x25519_public": body.identity.x25519.public,
        "x25519_sealed": body.identity.x25519.sealed,
        "ed25519_public": body.identity.ed25519.public,
        "ed25519_sealed": body.identity.ed25519.sealed,
        "profile": body.profile.sealed,
        "recovery_verifier": recovery.verifier if recovery else None,
        "recovery_sealed": recovery.sealed if recovery else None,
    }


def _lock_address(work: Work, email: str) -> None:
    """Lock an address for this transaction; SQLite serialises all transactions anyway."""
    if postgresql():
        number = int.from_bytes(bytes.fromhex(address_hash(email))[:8], signed=True)
        work.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def _was_used(work: Work, account_id: UUID) -> bool:
    """Check whether an id is or was an account's, even one that is being deleted."""
    account = sa.select(sa.exists().where(Account.id == account_id))
    used: bool = work.execute(account).scalar_one()
    known = audit.knows(account_id)  # always runs, so that both cases take the same time
    return used or known


def is_account_id(work: Work, some_id: UUID) -> bool:
    """Check whether an id belongs or belonged to an account, or belongs to a decoy.

    Nothing else may use such an id. Decoys count too, so that nobody can distinguish them from
    accounts.
    """
    return is_decoy(some_id) | _was_used(work, some_id)


def _keep_five(work: Work, email: str, *, to_delete: UUID | None) -> None:
    """If more than five signups wait, delete the replaced one or the oldest."""
    named = sa.case((WaitingSignup.id == to_delete, 1), else_=0)
    newest = (
        sa.select(WaitingSignup.id)
        .where(WaitingSignup.email == email)
        .order_by(named, WaitingSignup.created_at.desc(), WaitingSignup.id)
        .limit(WAITING_SIGNUPS)
    )
    work.execute(
        sa.delete(WaitingSignup)
        .where(WaitingSignup.email == email, WaitingSignup.id.not_in(newest))
        .execution_options(synchronize_session=False)
    )


def _make_account(work: Work, waiting: WaitingSignup) -> None:
    account_id, now = waiting.account_id, clock.now()
    if is_taken(work, waiting.email) or _was_used(work, account_id):
        raise TokenInvalid
    created = audit.record(Event.ACCOUNT_CREATE, account_id=account_id)
    published = audit.record(
        Event.KEY_PUBLISH,
        account_id=account_id,
        obj={
            "kind": "identity",
            "generation": 1,
            "x25519": b64(waiting.x25519_public),
            "ed25519": b64(waiting.ed25519_public),
        },
    )
    account = {"id": account_id, "email": waiting.email, "epoch": 1, "created_at": now}
    account |= {name: getattr(waiting, name) for name in _DERIVATION}
    try:
        work.execute(sa.insert(Account), account | {"audit_event_id": created})
    except sa.exc.IntegrityError:  # a signup for another address took the id at the same moment
        raise TokenInvalid from None
    key_set = {name: getattr(waiting, name) for name in _SEALED}
    key_set |= {"account_id": account_id, "profile_revision": 1, "audit_event_id": published}
    work.execute(sa.insert(KeySet), key_set)
    if waiting.recovery_verifier is not None and waiting.recovery_sealed is not None:
        recovery_key = {
            "account_id": account_id,
            "verifier": waiting.recovery_verifier,
            "sealed": waiting.recovery_sealed,
            "epoch": 1,
            "created_at": now,
            "audit_event_id": audit.record(Event.RECOVERY_KEY_SET, account_id=account_id),
        }
        work.execute(sa.insert(RecoveryKey), recovery_key)
