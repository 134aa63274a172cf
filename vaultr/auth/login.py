"""Login and step-up: prelogin parameters, the password check, and second factors."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.audit.service import Denial
from vaultr.auth import known_devices, login_throttle, password_hashing, second_factors, sessions
from vaultr.auth.decoy_accounts import decoy_account
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
from vaultr.auth.sessions import Device, SessionTokens
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
class DerivationInputs:
    """The inputs for deriving an account's keys, of a real or a decoy account."""

    account_id: UUID
    auth_scheme: str
    kdf: Kdf
    salt: bytes


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A new session and its account."""

    tokens: SessionTokens
    owner: Owner


@dataclass(frozen=True, slots=True)
class _Credentials:
    account_id: UUID
    epoch: int
    verifier: Verifier = field(repr=False)


def derivation_inputs(email: str) -> DerivationInputs:
    """Return the derivation inputs of an address; for an unknown one, inputs of a decoy account.

    This always computes the decoy and looks up the address, so that neither content nor timing
    shows which one was returned.
    """
    decoy = decoy_account(email)
    with one_statement() as connection:
        known = connection.execute(_INPUTS, {"email": email}).one_or_none()
    if known is None:
        return DerivationInputs(decoy.account_id, AUTH_SCHEME, decoy.kdf, decoy.salt)
    return DerivationInputs(known.id, known.auth_scheme, Kdf(**json.loads(known.kdf)), known.salt)


def log_in(body: LoginIn) -> LoginResult:
    """Start a session for the owner of an address and its password.

    The attempt is counted before anything is hashed: by email address for unknown devices, by
    device for known ones, and by client address. No database connection is held while the hash is
    computed. An unknown address causes the same reads, hash and writes. A verifier with an old cost
    or pepper is renewed when the session starts.

    :raises CredentialsInvalid: the account does not exist, the key is wrong, or the code is wrong
        or used (these attempts stay counted); or the credentials or the address changed while the
        hash was computed. The response is the same in all cases, and all are recorded.
    :raises SecondFactorRequired: the key was right, but no code was sent; the attempt is refunded.
    :raises Locked: too many failures in a row; nothing is counted.
    :raises TooMany: a limit is used up; nothing was hashed or written.
    :raises Busy: the hash queue is full; the attempt is refunded.
    """
    device = Device.of(body.device.id, body.device.name)
    known, counter = _read_by_email(body.email, device)
    check_queue = partial(password_hashing.check_queue, counter.key)
    with login_throttle.count_attempt(counter, precheck=check_queue) as attempt:
        stored = known.verifier if known else None
        verdict = password_hashing.verify(body.auth_key, stored, counter=counter.key)
        if known is None or not verdict.right:
            metrics.LOGINS.labels("denied").inc()
            login_throttle.record_failure(attempt, known.account_id if known else None)
            raise _denied(known, "wrong-key" if known else "unknown-address")
        with _second_factor(attempt, known), transaction() as work:
            owner = _lock_if_unchanged(work, known)
            if owner is None or owner.email != body.email:
                raise _denied(known, "credentials-changed")
            second_factors.check_second_factor(work, owner.id, owner.email, body)
            _store_renewed_verifier(work, known, verdict)
            login_throttle.clear_failures(work, attempt)
            known_devices.notify_if_new(work, owner, device.hash, device.name)
            session_id, refresh_token = sessions.start_session(work, owner.id, device)
    metrics.LOGINS.labels("ok").inc()
    return LoginResult(SessionTokens.of(owner.id, session_id, owner.epoch, refresh_token), owner)


def step_up(actor: Actor, body: ProofIn) -> None:
    """Check the password again, and mark the session as proven for STEP_UP_SECONDS.

    Attempts are counted by session, so that failed logins of others do not use them up.

    :raises ProofInvalid: the key or the code is wrong, or the credentials changed in the meantime.
    :raises FactorRequired: the key was right, but no code was sent; the attempt is refunded.
    :raises Unauthenticated: the session ended while the hash was computed.
    :raises Locked, TooMany, Busy: as for `log_in`.
    """
    known, counter = _read_by_id(actor)
    password_hashing.count_for_account(actor.account_id)
    check_queue = partial(password_hashing.check_queue, counter.key)
    with login_throttle.count_attempt(counter, precheck=check_queue) as attempt:
        stored = known.verifier if known else None
        verdict = password_hashing.verify(body.auth_key, stored, counter=counter.key)
        if known is None or not verdict.right:
            login_throttle.record_failure(attempt, actor.account_id)
            denial = Denial(Event.AUTH_STEPUP_DENY, actor.account_id, "wrong-key")
            raise ProofInvalid(audit_event=denial)
        with _second_factor(attempt, known, actor), transaction() as work:
            owner = _lock_if_unchanged(work, known)
            if owner is None or known.epoch != actor.epoch:
                denial = Denial(Event.AUTH_STEPUP_DENY, actor.account_id, "credentials-changed")
                raise ProofInvalid(audit_event=denial)
            second_factors.check_second_factor(work, owner.id, owner.email, body)
            proven = work.execute(
                sa.update(Session)
                .where(Session.id == actor.session_id, Session.account_id == actor.account_id)
                .values(proven_at=clock.now())
                .returning(Session.id)
            ).one_or_none()
            if proven is None:
                raise Unauthenticated
            _store_renewed_verifier(work, known, verdict)
            login_throttle.clear_failures(work, attempt)
            audit.record(Event.AUTH_STEPUP_OK, account_id=actor.account_id)


@contextmanager
def _second_factor(
    attempt: Attempt, known: _Credentials, actor: Actor | None = None
) -> Iterator[None]:
    """Turn errors of `check_second_factor` into errors of the login, or of ``actor``'s step-up.

    A wrong or used code stays counted, like a wrong key, and gets the same response. An attempt
    with the right key but no code is refunded, but recorded, so that the owner can see it.
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
        login_throttle.record_failure(attempt, known.account_id)
        denial = Denial(at, known.account_id, "wrong-code")
        raise (ProofInvalid if actor else CredentialsInvalid)(audit_event=denial) from None


def _read_by_email(email: str, device: Device) -> tuple[_Credentials | None, Counter]:
    """Read the credentials of an address, and the counter that applies to its device."""
    of_stranger = login_throttle.stranger_counter(email)
    of_device = login_throttle.device_counter(email, device.hash)
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


def _read_by_id(actor: Actor) -> tuple[_Credentials | None, Counter]:
    key = login_throttle.session_counter(actor.session_id)
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


def _lock_if_unchanged(work: Work, known: _Credentials) -> Owner | None:
    """Lock the account if it still has the credentials that were checked.

    The epoch grows with each change of credentials. It stays the same if a parallel login renews
    the verifier, which is harmless.
    """
    values = {"account": known.account_id, "epoch": known.epoch}
    row = work.connection().execute(LOCKED_OWNER, values).one_or_none()
    return None if row is None else Owner(*row)


def _store_renewed_verifier(work: Work, known: _Credentials, verdict: Verdict) -> None:
    if verdict.renewed is not None:
        values = {
            "account": known.account_id,
            "verifier": verdict.renewed.phc,
            "pepper_id": verdict.renewed.pepper_id,
        }
        work.connection().execute(RENEW_VERIFIER, values)
