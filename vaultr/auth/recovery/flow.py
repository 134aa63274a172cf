"""Recovering an account: a token and the recovery key, a wait of a day, then new credentials."""

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
from vaultr.auth import credential_change, key_rewrap, login_throttle, opaque_tokens
from vaultr.auth.account_lock import lock_account
from vaultr.auth.credential_schemas import RecoveredIn, RecoveryProofIn
from vaultr.auth.emails import recovery
from vaultr.auth.errors import RecoveryPending, TokenInvalid
from vaultr.auth.key_rewrap import Name
from vaultr.auth.login_throttle import Attempt
from vaultr.auth.models import Account, EmailChange, Factor, Recovery, RecoveryKey
from vaultr.auth.queries import OWNER, Owner
from vaultr.auth.recovery.tokens import TOKEN_LIVES, WAIT, account_of, alive
from vaultr.database.session import transaction
from vaultr.mail import service as mail

# Which of the two it is, nobody is told.
_WRONG: Final = "The token or the recovery key is wrong, or the token's time is over."


@dataclass(frozen=True, slots=True)
class HandedOut:
    """What is needed to complete a recovery; all of it is sealed under the old account key."""

    sealed: bytes
    epoch: int
    owner: Owner
    wraps: Mapping[str, Mapping[Name, bytes]]


@dataclass(frozen=True, slots=True)
class Started:
    """A recovery that has started; ``handed_out`` once its wait is over."""

    ready_at: datetime
    handed_out: HandedOut | None = None


@dataclass(frozen=True, slots=True)
class _Proven:
    """A recovery whose token and key were right, read under the account's lock."""

    account_id: UUID
    email: str
    recovery_id: UUID
    started_at: datetime | None
    sealed: bytes
    epoch: int


def start(body: RecoveryProofIn) -> Started:
    """Start a recovery, or ask how it stands; after the wait, give what completes it.

    The account is locked, so of parallel starts one begins the wait and mails the notice, and the
    others are told the same time. The token then lives 72 hours from the start.

    :raises TokenInvalid: the token was never mailed, is over, void or replaced, or the key is not
        the recovery key. All alike, counted and recorded.
    :raises Locked, TooMany: as at the login; counted by the account, strangers at its login apart.
    """
    with _counted(body) as attempt, transaction() as work:
        proven = _proven(work, body)
        now = clock.now()
        started_at = proven.started_at or now
        if proven.started_at is None:
            _begin(work, proven, body.token, now)
        login_throttle.forget_failures(work, attempt)
        ready_at = started_at + WAIT
        if ready_at > now:
            return Started(ready_at)
        return Started(ready_at, _hand_out(work, proven))


def complete(body: RecoveredIn) -> None:
    """Set new credentials under a new account key, once the wait is over.

    One transaction under the account's lock, as for `credentials.change`: a completion and a
    cancellation at the same moment are one after the other, and the later one is refused. All
    sessions end, and the recovery key; factors and machines stay.

    :raises TokenInvalid, Locked, TooMany: as `start`.
    :raises RecoveryPending: it was not started, or its wait is not over.
    :raises KdfRefused, NotSealed, Busy, StaleRevision, WrapsDiffer: as `credentials.change`.
    """
    with _counted(body) as attempt:
        with transaction() as work:
            _check_ready(_proven(work, body))
        verifier = credential_change.checked(body)
        with transaction() as work:
            proven = _proven(work, body, alone=True)
            _check_ready(proven)
            stored = credential_change.locked(work, proven.account_id, alone=True)
            if stored is None:
                raise TokenInvalid
            credential_change.check_follows(stored, body)
            credential_change.end_sessions(work, stored.id, reason="recovery")
            machines = len(key_rewrap.everything(work, stored.id).get("machines", ()))
            credential_change.replace(
                work, stored, body, verifier, Event.CRED_RECOVER_DONE, new_wraps=body.rewrap
            )
            for table in (Recovery, EmailChange):
                work.execute(sa.delete(table).where(table.account_id == stored.id))
            login_throttle.forget_failures(work, attempt)
            letter = recovery.recovered(factors=_factors(work, stored.id), machines=machines)
            mail.send(letter, stored.email)


@contextmanager
def _counted(body: RecoveryProofIn | RecoveredIn) -> Iterator[Attempt]:
    """Count a proof by the account that its token stands for, or by a token that is none.

    A stranger without a mailed token can use up nothing of an account's; guesses at tokens are
    counted by the client's address.
    """
    account_id = account_of(body.token)
    by_token = f"rt:{opaque_tokens.hash_of(body.token)[:16].hex()}"
    counter = login_throttle.of_recovery(account_id) if account_id else by_token
    with login_throttle.counted(login_throttle.standing(counter)) as attempt:
        try:
            yield attempt
        except TokenInvalid:
            login_throttle.note_failure(attempt, account_id)
            reason = "wrong-key" if account_id else "wrong-token"
            denial = Denial(Event.CRED_RECOVER_START, account_id, reason)
            raise TokenInvalid(_WRONG, audit_event=denial) from None


def _proven(work: Work, body: RecoveryProofIn | RecoveredIn, *, alone: bool = False) -> _Proven:
    """Lock the account of a token, and compare the key under the lock.

    :raises TokenInvalid: see `start`.
    """
    account_id = account_of(body.token)
    if account_id is None:
        raise TokenInvalid
    lock_account(work, account_id, alone=alone)
    query = (
        sa.select(
            Account.id, Account.email, Recovery.id.label("recovery_id"), Recovery.started_at,
            RecoveryKey.sealed, RecoveryKey.epoch, RecoveryKey.verifier,
        )
        .join(Recovery, Recovery.account_id == Account.id)
        .join(RecoveryKey, RecoveryKey.account_id == Account.id)
        .where(alive(body.token))
    )  # fmt: skip
    row = work.execute(query).one_or_none()
    if row is None or not hmac.compare_digest(opaque_tokens.hash_of(body.rk_auth), row.verifier):
        raise TokenInvalid
    return _Proven(*row[:-1])


def _begin(work: Work, proven: _Proven, token: str, now: datetime) -> None:
    started = sa.update(Recovery).where(Recovery.id == proven.recovery_id)
    work.execute(started.values(started_at=now, expires_at=now + TOKEN_LIVES))
    audit.record(Event.CRED_RECOVER_START, account_id=proven.account_id)
    mail.send(recovery.recovery_started(token, now + WAIT), proven.email)


def _hand_out(work: Work, proven: _Proven) -> HandedOut:
    owner = work.connection().execute(OWNER, {"account": proven.account_id}).one()
    told = {"kind": "recovery", "step": "handed-out"}
    audit.record(Event.CRED_RECOVER_START, account_id=proven.account_id, obj=told)
    wraps = key_rewrap.everything(work, proven.account_id)
    return HandedOut(proven.sealed, proven.epoch, Owner(*owner), wraps)


def _check_ready(proven: _Proven) -> None:
    if proven.started_at is None or proven.started_at + WAIT > clock.now():
        raise RecoveryPending


def _factors(work: Work, account_id: UUID) -> list[str]:
    kinds = sa.select(Factor.kind).where(
        Factor.account_id == account_id, Factor.confirmed_at.is_not(None)
    )
    return list(work.execute(kinds.order_by(Factor.kind)).scalars())
