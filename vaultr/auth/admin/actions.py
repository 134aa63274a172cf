"""What an operator does for an account, or to it; nothing of it opens one or shows a secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import (
    account_deletion,
    email_addresses,
    login_throttle,
    operator_locks,
    recovery_codes,
    signup,
)
from vaultr.auth.account_lock import lock_account
from vaultr.auth.credential_change import end_sessions
from vaultr.auth.emails import account as letters
from vaultr.auth.models import Account, Factor, Failures, Session, WaitingSignup
from vaultr.database.session import transaction
from vaultr.errors import Conflict, NotFound
from vaultr.mail import service as mail
from vaultr.wire.field_types import is_id


class NoSuchAccount(NotFound):
    """No account has this id or this mail address."""


class SeveralWait(Conflict):
    """Several signups wait for this address: name one by its account id."""


class NothingWaits(NoSuchAccount):
    """No signup waits for this address or account id."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to an account, or would have been: ``count`` things such as sessions."""

    account_id: UUID
    count: int = 0


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts, and whether only to see what would happen."""

    name: str
    dry_run: bool = False


class _TakenBack(Exception):
    """Ends a transaction that was only tried."""


@contextmanager
def _tried(operator: Operator, action: str) -> Iterator["_Record"]:
    """Do everything inside in one transaction and record who did it, or take all of it back."""
    record = _Record(operator, action)
    try:
        with transaction() as work:
            record.work = work
            yield record
            if operator.dry_run:
                raise _TakenBack
    except _TakenBack:
        pass


class _Record:
    """The transaction of one action, and the event that tells of it."""

    work: Work

    def __init__(self, operator: Operator, action: str) -> None:
        self._operator, self._action = operator, action

    def of(self, account_id: UUID, **more: Any) -> None:
        """Record the action."""
        told = {"kind": "account", "id": str(account_id), "action": self._action}
        told |= {"operator": self._operator.name, **more}
        audit.record(Event.ADMIN_ACCOUNT, account_id=account_id, obj=told)

    def account(self, who: str, *, alone: bool = False) -> Any:
        """Find and lock an account; give its row.

        :raises NoSuchAccount: there is none, or not any more.
        """
        found = self.work.execute(sa.select(Account.id).where(named(who))).scalar()
        if found is None:
            raise NoSuchAccount
        lock_account(self.work, found, alone=alone)
        columns = (Account.id, Account.email)
        row = self.work.execute(sa.select(*columns).where(Account.id == found)).one_or_none()
        if row is None:
            raise NoSuchAccount
        return row


def lock(who: str, operator: Operator) -> Done:
    """Let nobody sign in to an account until an operator unlocks it, and end its sessions.

    Under the account's lock: a login that is under way is over before, and its session ends here,
    or finds its counter locked. Refused alike whether the password is right.

    :raises NoSuchAccount: there is none.
    """
    with _tried(operator, "lock") as action:
        account = action.account(who)
        operator_locks.lock(action.work, account.id, account.email)
        ended = end_sessions(action.work, account.id, reason="operator")
        audit.record(Event.AUTH_LOCK, account_id=account.id, out="deny", reason="operator")
        action.of(account.id, sessions=len(ended))
    return Done(account.id, len(ended))


def unlock(who: str, operator: Operator) -> Done:
    """End every lock of an account, by failures or by an operator, and forget its attempts.

    :raises NoSuchAccount: there is none.
    """
    with _tried(operator, "unlock") as action:
        done = forget_attempts(who)
        action.of(done.account_id, counters=done.count)
    return done


def log_out(who: str, operator: Operator) -> Done:
    """End all sessions of an account; whoever has the password can sign in again.

    :raises NoSuchAccount: there is none.
    """
    with _tried(operator, "logout") as action:
        account = action.account(who)
        ended = end_sessions(action.work, account.id, reason="operator")
        action.of(account.id, sessions=len(ended))
    return Done(account.id, len(ended))


def reset_factors(who: str, operator: Operator) -> Done:
    """Remove an account's second factors and recovery codes, end its sessions, tell its owner.

    The password is still needed: this is for an owner who lost the device and proved who they are.

    :raises NoSuchAccount: there is none.
    """
    with _tried(operator, "reset-factors") as action:
        account = action.account(who)
        mine = sa.delete(Factor).where(Factor.account_id == account.id)
        gone = action.work.scalars(mine.returning(Factor.id)).all()
        recovery_codes.drop(action.work, account.id)
        for one in gone:
            told = {"kind": "factor", "id": str(one)}
            audit.record(Event.FACTOR_REMOVE, account_id=account.id, obj=told, reason="operator")
        if gone:
            end_sessions(action.work, account.id, reason="operator")
            mail.send(letters.factor_removed(), account.email)
        action.of(account.id, factors=len(gone))
    return Done(account.id, len(gone))


def delete(who: str, operator: Operator) -> Done:
    """Delete an account with all that it holds, as its owner would; nothing brings it back.

    :raises NoSuchAccount: there is none.
    """
    with _tried(operator, "delete") as action:
        account = action.account(who, alone=True)
        action.of(account.id)
        account_deletion.delete(action.work, account.id)
    return Done(account.id, 1)


def verify(who: str, operator: Operator) -> Done:
    """Make the account of a signup that waits, as if the mail that it waits for had been confirmed.

    Only for an address that the operator knows to be the owner's: anybody can sign up with any.

    :raises NothingWaits: no signup of this address or account id waits.
    :raises SeveralWait: more than one does, and an address was given.
    :raises TokenInvalid: its account was made in the meantime.
    """
    with _tried(operator, "verify") as action:
        condition = _waiting(who)
        alive = sa.and_(condition, WaitingSignup.expires_at > clock.now())
        found = action.work.execute(
            sa.select(WaitingSignup.id, WaitingSignup.account_id).where(alive)
        )
        rows = found.all()
        if not rows:
            raise NothingWaits
        if len(rows) > 1:
            raise SeveralWait(members={"account_ids": [str(one.account_id) for one in rows]})
        signup.confirm_row(action.work, WaitingSignup.id == rows[0].id)
        action.of(rows[0].account_id)
    return Done(rows[0].account_id, 1)


def _waiting(who: str) -> sa.ColumnElement[bool]:
    return named(who, account_id=WaitingSignup.account_id, email=WaitingSignup.email)


def forget_attempts(who: str) -> Done:
    """Forget all attempts at an account: that ends its locks, and lets in what was used up.

    That of strangers, that of its recovery, those of its devices and of its live sessions; what is
    counted by client address runs out by itself, within a quarter of an hour.

    :param who: the account's id, or its mail address in any spelling.
    :raises NoSuchAccount: there is none.
    """
    with transaction() as work:
        account = work.execute(sa.select(Account.id, Account.email).where(named(who))).one_or_none()
        if account is None:
            raise NoSuchAccount
        sessions = work.scalars(sa.select(Session.id).where(Session.account_id == account.id))
        keys = operator_locks.counters_of(work, account.id, account.email)
        keys += [login_throttle.of_session(one) for one in sessions]
        gone = work.execute(
            sa.delete(Failures).where(Failures.counter.in_(keys)).returning(Failures.counter)
        )
        audit.record(Event.AUTH_UNLOCK, account_id=account.id, reason="operator")
        return Done(account.id, len(gone.all()))


def named(
    who: str,
    *,
    account_id: sa.SQLColumnExpression[UUID] = Account.id,
    email: sa.SQLColumnExpression[str] = Account.email,
) -> sa.ColumnElement[bool]:
    """Give the condition of who is named by an id or by a mail address in any spelling.

    :raises NoSuchAccount: it is neither.
    """
    if is_id(who):
        return account_id == UUID(who)
    try:
        return email == email_addresses.normalised(who)
    except ValueError:
        raise NoSuchAccount from None
