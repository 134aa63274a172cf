"""Signing in: what a client derives from, the proof of its password, and the fresh proof again."""

import json
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock, metrics
from vaultr.actor import Actor
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.audit.service import Denial
from vaultr.auth import attempts, passwords, sessions
from vaultr.auth.errors import CredentialsInvalid, ProofInvalid
from vaultr.auth.invented import invented
from vaultr.auth.models import Account, KeySet, KnownDevice, Session
from vaultr.auth.passwords import Verifier
from vaultr.auth.schemas import LoginIn, ProofIn
from vaultr.auth.sessions import Device, Opened
from vaultr.database.session import one_statement, transaction
from vaultr.errors import Unauthenticated
from vaultr.protocol.kdf import Kdf

AUTH_SCHEME: Final = "vp1"

_CREDENTIALS: Final = sa.select(Account.id, Account.epoch, Account.verifier, Account.pepper_id)
_BY_EMAIL: Final = _CREDENTIALS.where(Account.email == sa.bindparam("email"))
_BY_ID: Final = _CREDENTIALS.where(Account.id == sa.bindparam("id"))
_INPUTS: Final = sa.select(Account.id, Account.auth_scheme, Account.kdf, Account.salt).where(
    Account.email == sa.bindparam("email")
)
_DEVICE_IS_KNOWN: Final = sa.select(
    sa.exists().where(
        KnownDevice.account_id == sa.bindparam("account_id"),
        KnownDevice.device_hash == sa.bindparam("device_hash"),
    )
)

_SEEN: Final = sa.text(
    "INSERT INTO known_devices (account_id, device_hash, first_used_at, last_used_at)"
    " VALUES (:account_id, :device_hash, :now, :now)"
    " ON CONFLICT (account_id, device_hash) DO UPDATE SET last_used_at = :now"
).bindparams(
    sa.bindparam("account_id", type_=sa.Uuid()),
    sa.bindparam("now", type_=KnownDevice.first_used_at.type),
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """From what a client derives the keys of an account, real or invented."""

    account_id: UUID
    auth_scheme: str
    kdf: Kdf
    salt: bytes


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session, with the account it opens."""

    opened: Opened
    account: Account
    key_set: KeySet


@dataclass(frozen=True, slots=True)
class _Credentials:
    account_id: UUID
    epoch: int
    verifier: Verifier = field(repr=False)


def derivation_inputs(email: str) -> Inputs:
    """Give what the keys of an address derive from, the invented in place of the unknown.

    Both are made on either path, so that neither form nor time tells which it was.
    """
    made_up = invented(email)
    with one_statement() as connection:
        known = connection.execute(_INPUTS, {"email": email}).one_or_none()
    if known is None:
        return Inputs(made_up.account_id, AUTH_SCHEME, made_up.kdf, made_up.salt)
    return Inputs(known.id, known.auth_scheme, Kdf(**json.loads(known.kdf)), known.salt)


def login(body: LoginIn) -> SignedIn:
    """Open a session for who proves the password of an address.

    Counted before anything is hashed: by the address for devices never seen on the account, by
    the device for those that are, and by the client's network address. While the hash is computed
    no database connection is held. An unknown address takes the same reads, the same hash and the
    same writes. A verifier of an old cost or pepper is renewed with the session.

    :raises CredentialsInvalid: no such account, a wrong key, or credentials that were changed
        while the hash was computed. All alike; the attempt stays counted, and is recorded.
    :raises Locked: a hundred failures in a row; nothing is counted.
    :raises TooMany: a limit is used up, before any hash or write.
    :raises Busy: the hash queue is full; the attempt is given back.
    """
    known = _credentials(_BY_EMAIL, email=body.email)
    # For an unknown address the device of the invented account is looked for, and never found.
    account_id = known.account_id if known else invented(body.email).account_id
    device = Device.of(account_id, body.device.id, body.device.name)
    seen = _is_known(account_id, device)
    counter = attempts.of_device(device.hash) if seen else attempts.of_stranger(body.email)
    with attempts.counted(counter) as attempt:
        verdict = passwords.verify(body.auth_key, known.verifier if known else None)
        if known is None or not verdict.right:
            metrics.LOGINS.labels("denied").inc()
            attempts.note_failure(attempt, known.account_id if known else None)
            raise _denied(known, "wrong-key" if known else "unknown-address")
        with transaction() as work:
            account = _still(work, known)
            if account is None:
                raise _denied(known, "credentials-changed")
            if verdict.renewed is not None:
                account.verifier = verdict.renewed.phc
                account.pepper_id = verdict.renewed.pepper_id
            attempts.forget_failures(work, attempt)
            signed_in = _open(work, account, device)
    metrics.LOGINS.labels("ok").inc()
    return signed_in


def step_up(actor: Actor, body: ProofIn) -> None:
    """Mark the session as freshly proven, for as long as STEP_UP_SECONDS.

    Attempts are counted by the session, so that strangers at the login use up none of them.

    :raises ProofInvalid: the key is wrong, or the credentials were changed meanwhile.
    :raises Unauthenticated: the session ended while the hash was computed.
    :raises Locked, TooMany, Busy: as at the login.
    """
    known = _credentials(_BY_ID, id=actor.account_id)
    with attempts.counted(attempts.of_session(actor.session_id)) as attempt:
        verdict = passwords.verify(body.auth_key, known.verifier if known else None)
        if known is None or not verdict.right:
            attempts.note_failure(attempt, actor.account_id)
            denial = Denial(Event.AUTH_STEPUP_DENY, actor.account_id, "wrong-key")
            raise ProofInvalid(event=denial)
        with transaction() as work:
            account = _still(work, known)
            if account is None or known.epoch != actor.epoch:
                denial = Denial(Event.AUTH_STEPUP_DENY, actor.account_id, "credentials-changed")
                raise ProofInvalid(event=denial)
            proven = work.execute(
                sa.update(Session)
                .where(Session.id == actor.session_id, Session.account_id == account.id)
                .values(proven_at=clock.now())
                .returning(Session.id)
            ).one_or_none()
            if proven is None:
                raise Unauthenticated
            if verdict.renewed is not None:
                account.verifier = verdict.renewed.phc
                account.pepper_id = verdict.renewed.pepper_id
            attempts.forget_failures(work, attempt)
            audit.record(Event.AUTH_STEPUP_OK, account_id=account.id)


def _credentials(query: "sa.Select[UUID, int, str, str]", **of: str | UUID) -> _Credentials | None:
    with one_statement() as connection:
        row = connection.execute(query, of).one_or_none()
    if row is None:
        return None
    return _Credentials(row.id, row.epoch, Verifier(row.verifier, row.pepper_id))


def _is_known(account_id: UUID, device: Device) -> bool:
    values = {"account_id": account_id, "device_hash": device.hash}
    with one_statement() as connection:
        return bool(connection.execute(_DEVICE_IS_KNOWN, values).scalar_one())


def _denied(known: _Credentials | None, reason: str) -> CredentialsInvalid:
    account_id = known.account_id if known else None
    return CredentialsInvalid(event=Denial(Event.AUTH_LOGIN_DENY, account_id, reason))


def _still(work: Work, known: _Credentials) -> Account | None:
    """Lock the account if its credentials are still those that were checked.

    The epoch tells: it grows with every change of them. A verifier that a parallel login renewed
    is of the same epoch, and as good.
    """
    query = sa.select(Account).where(Account.id == known.account_id, Account.epoch == known.epoch)
    # NO KEY UPDATE, so that writers of vaults, who hold the account's key, are not made to wait.
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return work.scalars(locked).one_or_none()


def _open(work: Work, account: Account, device: Device) -> SignedIn:
    key_set = work.get_one(KeySet, account.id, populate_existing=True)
    session_id, refresh_token = sessions.begin(work, account.id, device)
    values = {"account_id": account.id, "device_hash": device.hash, "now": clock.now()}
    work.execute(_SEEN, values)
    opened = Opened.of(account.id, session_id, account.epoch, refresh_token)
    return SignedIn(opened, account, key_set)
