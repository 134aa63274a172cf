"""Account recovery: a token and the recovery key, a wait of 24 hours, then new credentials."""

import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.audit.service import Denial
from vaultr.auth import (
    credential_change,
    key_rewrap,
    login_throttle,
    opaque_tokens,
    password_hashing,
)
from vaultr.auth.account_lock import lock_account
from vaultr.auth.credential_schemas import RecoveredIn, RecoveryProofIn
from vaultr.auth.emails import recovery
from vaultr.auth.errors import RecoveryPending, TokenInvalid
from vaultr.auth.key_rewrap import WrapName
from vaultr.auth.login_throttle import Attempt
from vaultr.auth.models import Account, EmailChange, Factor, Recovery, RecoveryKey
from vaultr.auth.queries import OWNER, Owner
from vaultr.auth.recovery.tokens import TOKEN_LIVES, WAIT, account_by_token, is_live
from vaultr.database.session import transaction
from vaultr.mail import service as mail

# The response does not show which of the two is wrong.
_WRONG: Final = "The token or the recovery key is wrong, or the token has expired."


@dataclass(frozen=True, slots=True)
class RecoveryData:
    """The values that complete a recovery, all sealed under the old account key."""

    sealed: bytes
    epoch: int
    owner: Owner
    wraps: Mapping[str, Mapping[WrapName, bytes]]


@dataclass(frozen=True, slots=True)
class RecoveryStatus:
    """A started recovery; ``data`` is present once the wait is over."""

    ready_at: datetime
    data: RecoveryData | None = None


@dataclass(frozen=True, slots=True)
class _Proven:
    """A recovery whose token and key were right, read under the account's lock."""

    account_id: UUID
    email: str
    recovery_id: UUID
    started_at: datetime | None
    sealed: bytes
    epoch: int


def start_recovery(body: RecoveryProofIn) -> RecoveryStatus:
    """Start a recovery, or return its state; once the wait is over, also the data to complete it.

    The account is locked, so only one of several parallel starts begins the wait and sends the
    email; the others return the same time. The token is then valid for 72 hours from the start.

    :raises TokenInvalid: the token is unknown, expired, invalidated or replaced, or the recovery
        key is wrong. The response is the same in all cases; all are counted and recorded.
    :raises Locked, TooMany: as for the login; the account's recovery has its own counter.
    """
    with _count_attempt(body) as attempt, transaction() as work:
        proven = _proven(work, body)
        now = clock.now()
        started_at = proven.started_at or now
        if proven.started_at is None:
            _begin(work, proven, body.token, now)
        login_throttle.clear_failures(work, attempt)
        ready_at = started_at + WAIT
        if ready_at > now:
            return RecoveryStatus(ready_at)
        return RecoveryStatus(ready_at, _read_recovery_data(work, proven))


def prove_recovery(body: RecoveryProofIn) -> None:
    """Check that a recovery can be completed, before the server reads the large body for it.

    :raises TokenInvalid, Locked, TooMany: as `start_recovery`.
    :raises RecoveryPending: as `complete_recovery`.
    """
    with _count_attempt(body), transaction() as work:
        _check_ready(_proven(work, body))


def complete_recovery(body: RecoveredIn) -> None:
    """Set new credentials under a new account key, once the wait is over.

    Everything happens in one transaction under the account's lock, as in `change_credentials`: of a
    parallel completion and cancellation, the later one is rejected. All sessions end and the
    recovery key is deleted; factors and machines stay.

    :raises TokenInvalid, Locked, TooMany: as `start_recovery`.
    :raises RecoveryPending: the recovery was not started, or its wait is not over.
    :raises KdfRejected, NotSealed, Busy, StaleRevision, WrapsDiffer: as `change_credentials`.
    """
    with _count_attempt(body) as attempt:
        with transaction() as work:
            _check_ready(_proven(work, body))
        credential_change.check_body(body)
        verifier = password_hashing.new_verifier(body.auth_key, counter=attempt.counter.key)
        with transaction() as work:
            proven = _proven(work, body, block_writers=True)
            _check_ready(proven)
            stored = credential_change.lock_credentials(work, proven.account_id, block_writers=True)
            if stored is None:
                raise TokenInvalid
            credential_change.check_next_revision(stored, body)
            credential_change.end_sessions(work, stored.id, reason="recovery")
            machines = len(key_rewrap.all_wraps(work, stored.id).get("machines", ()))
            credential_change.replace_credentials(
                work, stored, body, verifier, Event.CRED_RECOVER_DONE, new_wraps=body.rewrap
            )
            for table in (Recovery, EmailChange):
                work.execute(sa.delete(table).where(table.account_id == stored.id))
            login_throttle.clear_failures(work, attempt)
            email = recovery.recovered(factors=_factors(work, stored.id), machines=machines)
            mail.send(email, stored.email)


@contextmanager
def _count_attempt(body: RecoveryProofIn | RecoveredIn) -> Iterator[Attempt]:
    """Count an attempt by the account of its token; if the token is unknown, by the token.

    So nobody can use up the account's counter without an emailed token. Guessed tokens are also
    counted by client address.
    """
    account_id = account_by_token(body.token)
    by_token = f"rt:{opaque_tokens.token_hash(body.token)[:16].hex()}"
    counter = login_throttle.recovery_counter(account_id) if account_id else by_token
    with login_throttle.count_attempt(login_throttle.read_counter(counter)) as attempt:
        try:
            yield attempt
        except TokenInvalid:
            login_throttle.record_failure(attempt, account_id)
            reason = "wrong-key" if account_id else "wrong-token"
            denial = Denial(Event.CRED_RECOVER_START, account_id, reason)
            raise TokenInvalid(_WRONG, audit_event=denial) from None


def _proven(
    work: Work, body: RecoveryProofIn | RecoveredIn, *, block_writers: bool = False
) -> _Proven:
    """Lock the account of a token, and compare the recovery key under the lock.

    :raises TokenInvalid: see `start_recovery`.
    """
    account_id = account_by_token(body.token)
    if account_id is None:
        raise TokenInvalid
    lock_account(work, account_id, block_writers=block_writers)
    query = (
        sa.select(
            Account.id, Account.email, Recovery.id.label("recovery_id"), Recovery.started_at,
            RecoveryKey.sealed, RecoveryKey.epoch, RecoveryKey.verifier,
        )
        .join(Recovery, Recovery.account_id == Account.id)
        .join(RecoveryKey, RecoveryKey.account_id == Account.id)
        .where(is_live(body.token))
    )  # fmt: skip
    row = work.execute(query).one_or_none()
    if row is None or not hmac.compare_digest(opaque_tokens.token_hash(body.rk_auth), row.verifier):
        raise TokenInvalid
    return _Proven(*row[:-1])


def _begin(work: Work, proven: _Proven, token: str, now: datetime) -> None:
    started = sa.update(Recovery).where(Recovery.id == proven.recovery_id)
    work.execute(started.values(started_at=now, expires_at=now + TOKEN_LIVES))
    audit.record(Event.CRED_RECOVER_START, account_id=proven.account_id)
    mail.send(recovery.recovery_started(token, now + WAIT), proven.email)


def _read_recovery_data(work: Work, proven: _Proven) -> RecoveryData:
    owner = work.connection().execute(OWNER, {"account": proven.account_id}).one()
    obj = {"kind": "recovery", "step": "handed-out"}
    audit.record(Event.CRED_RECOVER_START, account_id=proven.account_id, obj=obj)
    wraps = key_rewrap.all_wraps(work, proven.account_id)
    return RecoveryData(proven.sealed, proven.epoch, Owner(*owner), wraps)


def _check_ready(proven: _Proven) -> None:
    if proven.started_at is None or proven.started_at + WAIT > clock.now():
        raise RecoveryPending


def _factors(work: Work, account_id: UUID) -> list[str]:
    kinds = sa.select(Factor.kind).where(
        Factor.account_id == account_id, Factor.confirmed_at.is_not(None)
    )
    return list(work.execute(kinds.order_by(Factor.kind)).scalars())
