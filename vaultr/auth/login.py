"""Signing in: what a client derives from, the proof of its password, and the fresh proof again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.audit.service import Denial
from vaultr.auth import known_devices, login_throttle, password_hashing, second_factors, sessions
from vaultr.auth.decoy_accounts import invented
from vaultr.auth.errors import (
    CredentialsInvalid,
    FactorRequired,
    ProofInvalid,
    SecondFactorRequired,
)
from vaultr.auth.login_throttle import Attempt, Counter
from vaultr.auth.models import Account, Session
from vaultr.auth.password_hashing import Verdict, Verifier
from vaultr.auth.queries import (
    CREDENTIALS_BY_EMAIL,
    CREDENTIALS_BY_ID,
    LOCKED_OWNER,
    RENEW_VERIFIER,
    Owner,
)
from vaultr.auth.schemas import LoginIn, ProofIn
from vaultr.auth.sessions import Device, Opened
from vaultr.database.session import one_statement, transaction
from vaultr.errors import Unauthenticated
from vaultr.observability import metrics
from vaultr.protocol.kdf import Kdf
from vaultr.request_context import Actor

AUTH_SCHEME: Final = "vp1"

_INPUTS: Final = sa.select(Account.id, Account.auth_scheme, Account.kdf, Account.salt).where(
    Account.email == sa.bindparam("email")
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
    owner: Owner


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

    :raises CredentialsInvalid: no such account, a wrong key, a wrong or used code, which stay
        counted; or credentials or an address that were changed while the hash was computed. All
        alike, and recorded.
    :raises SecondFactorRequired: the key was right, and no code came; the attempt is given back.
    :raises Locked: a hundred failures in a row; nothing is counted.
    :raises TooMany: a limit is used up, before any hash or write.
    :raises Busy: the hash queue is full; the attempt is given back.
    """
    device = Device.of(body.device.id, body.device.name)
    known, counter = _known_by_email(body.email, device)
    with login_throttle.counted(counter, first=password_hashing.check_queue) as attempt:
        verdict = password_hashing.verify(body.auth_key, known.verifier if known else None)
        if known is None or not verdict.right:
            metrics.LOGINS.labels("denied").inc()
            login_throttle.note_failure(attempt, known.account_id if known else None)
            raise _denied(known, "wrong-key" if known else "unknown-address")
        with _second_factor(attempt, known), transaction() as work:
            owner = _still(work, known)
            if owner is None or owner.email != body.email:
                raise _denied(known, "credentials-changed")
            second_factors.prove(work, owner.id, owner.email, body)
            _renew(work, known, verdict)
            login_throttle.forget_failures(work, attempt)
            known_devices.tell_if_new(work, owner, device.hash, device.name)
            session_id, refresh_token = sessions.begin(work, owner.id, device)
    metrics.LOGINS.labels("ok").inc()
    return SignedIn(Opened.of(owner.id, session_id, owner.epoch, refresh_token), owner)


def step_up(actor: Actor, body: ProofIn) -> None:
    """Mark the session as freshly proven, for as long as STEP_UP_SECONDS.

    Attempts are counted by the session, so that strangers at the login use up none of them.

    :raises ProofInvalid: the key or the code is wrong, or the credentials were changed meanwhile.
    :raises FactorRequired: the key was right, and no code came; the attempt is given back.
    :raises Unauthenticated: the session ended while the hash was computed.
    :raises Locked, TooMany, Busy: as at the login.
    """
    known, counter = _known_by_id(actor)
    with login_throttle.counted(counter, first=password_hashing.check_queue) as attempt:
        verdict = password_hashing.verify(body.auth_key, known.verifier if known else None)
        if known is None or not verdict.right:
            login_throttle.note_failure(attempt, actor.account_id)
            denial = Denial(Event.AUTH_STEPUP_DENY, actor.account_id, "wrong-key")
            raise ProofInvalid(audit_event=denial)
        with _second_factor(attempt, known, actor), transaction() as work:
            owner = _still(work, known)
            if owner is None or known.epoch != actor.epoch:
                denial = Denial(Event.AUTH_STEPUP_DENY, actor.account_id, "credentials-changed")
                raise ProofInvalid(audit_event=denial)
            second_factors.prove(work, owner.id, owner.email, body)
            proven = work.execute(
                sa.update(Session)
                .where(Session.id == actor.session_id, Session.account_id == actor.account_id)
                .values(proven_at=clock.now())
                .returning(Session.id)
            ).one_or_none()
            if proven is None:
                raise Unauthenticated
            _renew(work, known, verdict)
            login_throttle.forget_failures(work, attempt)
            audit.record(Event.AUTH_STEPUP_OK, account_id=actor.account_id)


@contextmanager
def _second_factor(
    attempt: Attempt, known: _Credentials, actor: Actor | None = None
) -> Iterator[None]:
    """Turn what `factors.prove` refuses into the answer of the login, or of ``actor``'s step-up.

    A wrong or used code stays counted, as a wrong key does, and is answered alike. A right key
    that came without a code is given back; it is recorded all the same, for its owner to see.
    """
    at = Event.AUTH_STEPUP_DENY if actor else Event.AUTH_LOGIN_DENY
    try:
        yield
    except second_factors.CodeMissing:
        metrics.LOGINS.labels("second-factor").inc()
        denial = Denial(at, known.account_id, "second-factor-required")
        raise (FactorRequired if actor else SecondFactorRequired)(audit_event=denial) from None
    except second_factors.CodeWrong:
        metrics.LOGINS.labels("denied").inc()
        login_throttle.note_failure(attempt, known.account_id)
        denial = Denial(at, known.account_id, "wrong-code")
        raise (ProofInvalid if actor else CredentialsInvalid)(audit_event=denial) from None


def _known_by_email(email: str, device: Device) -> tuple[_Credentials | None, Counter]:
    """Read the credentials of an address, and how the counter stands that its device goes by."""
    of_stranger = login_throttle.of_stranger(email)
    of_device = login_throttle.of_device(email, device.hash)
    values = {
        "email": email,
        "device": device.hash,
        "stranger_counter": of_stranger,
        "device_counter": of_device,
    }
    with one_statement() as connection:
        row = connection.execute(CREDENTIALS_BY_EMAIL, values).one()
    if row.seen:
        counter = Counter(of_device, row.device_locked_until, row.device_recent or "")
    else:
        counter = Counter(of_stranger, row.locked_until, row.recent or "")
    return None if row.id is None else _credentials(row), counter


def _known_by_id(actor: Actor) -> tuple[_Credentials | None, Counter]:
    key = login_throttle.of_session(actor.session_id)
    values = {"account": actor.account_id, "counter": key}
    with one_statement() as connection:
        row = connection.execute(CREDENTIALS_BY_ID, values).one_or_none()
    if row is None:
        return None, Counter(key)
    return _credentials(row), Counter(key, row.locked_until, row.recent or "")


def _credentials(row: Any) -> _Credentials:
    return _Credentials(row.id, row.epoch, Verifier(row.verifier, row.pepper_id))


def _denied(known: _Credentials | None, reason: str) -> CredentialsInvalid:
    account_id = known.account_id if known else None
    return CredentialsInvalid(audit_event=Denial(Event.AUTH_LOGIN_DENY, account_id, reason))


def _still(work: Work, known: _Credentials) -> Owner | None:
    """Lock the account if its credentials are still those that were checked.

    The epoch tells: it grows with every change of them. A verifier that a parallel login renewed
    is of the same epoch, and as good.
    """
    values = {"account": known.account_id, "epoch": known.epoch}
    row = work.connection().execute(LOCKED_OWNER, values).one_or_none()
    return None if row is None else Owner(*row)


def _renew(work: Work, known: _Credentials, verdict: Verdict) -> None:
    if verdict.renewed is not None:
        values = {
            "account": known.account_id,
            "verifier": verdict.renewed.phc,
            "pepper_id": verdict.renewed.pepper_id,
        }
        work.connection().execute(RENEW_VERIFIER, values)
