"""Actions of an operator on accounts; none of them opens an account or shows a secret."""

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
from vaultr.auth.emails import account as emails
from vaultr.auth.models import Account, Factor, Failures, Session, WaitingSignup
from vaultr.database.session import transaction
from vaultr.errors import Conflict, NotFound
from vaultr.mail import service as mail
from vaultr.wire.field_types import is_id


class AccountNotFound(NotFound):
    """No account has this id or email address."""


class SeveralSignups(Conflict):
    """Several signups wait for this address. Name one by its account id."""


class SignupNotFound(AccountNotFound):
    """No signup waits for this address or account id."""


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The account and the number of changed rows, such as sessions."""

    account_id: UUID
    count: int = 0


@dataclass(frozen=True, slots=True)
class Operator:
    """The name of the operator, and whether this is a dry run."""

    name: str
    dry_run: bool = False


class _DryRun(Exception):
    """Rolls back the transaction of a dry run."""


@contextmanager
def _action(operator: Operator, action: str) -> Iterator["_Record"]:
    """Run the block in one transaction and record the operator; roll back on a dry run."""
    record = _Record(operator, action)
    try:
        with transaction() as work:
            record.work = work
            yield record
            if operator.dry_run:
                raise _DryRun
    except _DryRun:
        pass


class _Record:
    """The transaction and the audit event of one action."""

    work: Work

    def __init__(self, operator: Operator, action: str) -> None:
        self._operator, self._action = operator, action

    def of(self, account_id: UUID, **more: Any) -> None:
        """Record the action."""
        obj = {"kind": "account", "id": str(account_id), "action": self._action}
        obj |= {"operator": self._operator.name, **more}
        audit.record(Event.ADMIN_ACCOUNT, account_id=account_id, obj=obj)

    def find_account(self, account_ref: str, *, block_writers: bool = False) -> Any:
        """Find and lock an account; return its row.

        :raises AccountNotFound: the account does not exist.
        """
        found = self.work.execute(
            sa.select(Account.id).where(account_condition(account_ref))
        ).scalar()
        if found is None:
            raise AccountNotFound
        lock_account(self.work, found, block_writers=block_writers)
        columns = (Account.id, Account.email)
        row = self.work.execute(sa.select(*columns).where(Account.id == found)).one_or_none()
        if row is None:
            raise AccountNotFound
        return row


def lock(account_ref: str, operator: Operator) -> ActionResult:
    """Lock an account until an operator unlocks it, and end its sessions.

    This locks the account's row. So a parallel login either finished before, and its session ends
    here; or it finds its counter locked, and is rejected even with the right password.

    :raises AccountNotFound: the account does not exist.
    """
    with _action(operator, "lock") as action:
        account = action.find_account(account_ref)
        operator_locks.lock(action.work, account.id, account.email)
        ended = end_sessions(action.work, account.id, reason="operator")
        audit.record(Event.AUTH_LOCK, account_id=account.id, out="deny", reason="operator")
        action.of(account.id, sessions=len(ended))
    return ActionResult(account.id, len(ended))


def unlock(account_ref: str, operator: Operator) -> ActionResult:
    """End all locks of an account, by failures or by an operator, and clear its attempts.

    :raises AccountNotFound: the account does not exist.
    """
    with _action(operator, "unlock") as action:
        done = clear_attempts(account_ref)
        action.of(done.account_id, counters=done.count)
    return done


def log_out(account_ref: str, operator: Operator) -> ActionResult:
    """End all sessions of an account; the password can start new ones.

    :raises AccountNotFound: the account does not exist.
    """
    with _action(operator, "logout") as action:
        account = action.find_account(account_ref)
        ended = end_sessions(action.work, account.id, reason="operator")
        action.of(account.id, sessions=len(ended))
    return ActionResult(account.id, len(ended))


def reset_factors(account_ref: str, operator: Operator) -> ActionResult:
    """Remove an account's second factors and recovery codes, end its sessions, email its owner.

    The password is still needed. Use this for owners who lost their device and proved their
    identity.

    :raises AccountNotFound: the account does not exist.
    """
    with _action(operator, "reset-factors") as action:
        account = action.find_account(account_ref)
        mine = sa.delete(Factor).where(Factor.account_id == account.id)
        removed = action.work.scalars(mine.returning(Factor.id)).all()
        recovery_codes.delete_codes(action.work, account.id)
        for factor_id in removed:
            obj = {"kind": "factor", "id": str(factor_id)}
            audit.record(Event.FACTOR_REMOVE, account_id=account.id, obj=obj, reason="operator")
        if removed:
            end_sessions(action.work, account.id, reason="operator")
            mail.send(emails.factor_removed(), account.email)
        action.of(account.id, factors=len(removed))
    return ActionResult(account.id, len(removed))


def delete(account_ref: str, operator: Operator) -> ActionResult:
    """Delete an account and all its data, as its owner could; this cannot be undone.

    :raises AccountNotFound: the account does not exist.
    """
    with _action(operator, "delete") as action:
        account = action.find_account(account_ref, block_writers=True)
        action.of(account.id)
        account_deletion.delete(action.work, account.id)
    return ActionResult(account.id, 1)


def verify(account_ref: str, operator: Operator) -> ActionResult:
    """Create the account of a waiting signup, as if its email had been confirmed.

    Use this only if you know that the address belongs to the person who signed up: anybody can sign
    up with any address.

    :raises SignupNotFound: no signup with this address or account id waits.
    :raises SeveralSignups: several signups wait, and an address was used to name one.
    :raises TokenInvalid: its account was created in the meantime.
    """
    with _action(operator, "verify") as action:
        condition = _waiting(account_ref)
        alive = sa.and_(condition, WaitingSignup.expires_at > clock.now())
        found = action.work.execute(
            sa.select(WaitingSignup.id, WaitingSignup.account_id).where(alive)
        )
        rows = found.all()
        if not rows:
            raise SignupNotFound
        if len(rows) > 1:
            raise SeveralSignups(members={"account_ids": [str(row.account_id) for row in rows]})
        signup.confirm_signup_row(action.work, WaitingSignup.id == rows[0].id)
        action.of(rows[0].account_id)
    return ActionResult(rows[0].account_id, 1)


def _waiting(account_ref: str) -> sa.ColumnElement[bool]:
    return account_condition(
        account_ref, account_id=WaitingSignup.account_id, email=WaitingSignup.email
    )


def clear_attempts(account_ref: str) -> ActionResult:
    """Clear all failed and counted attempts of an account, which ends its locks.

    This includes the counters of unknown devices, recovery, known devices and live sessions.
    Counters of client addresses expire by themselves within 15 minutes.

    :param account_ref: the account's id, or its email address in any spelling.
    :raises AccountNotFound: the account does not exist.
    """
    with transaction() as work:
        account = work.execute(
            sa.select(Account.id, Account.email).where(account_condition(account_ref))
        ).one_or_none()
        if account is None:
            raise AccountNotFound
        sessions = work.scalars(sa.select(Session.id).where(Session.account_id == account.id))
        keys = operator_locks.account_counters(work, account.id, account.email)
        keys += [login_throttle.session_counter(session_id) for session_id in sessions]
        cleared = work.execute(
            sa.delete(Failures).where(Failures.counter.in_(keys)).returning(Failures.counter)
        )
        audit.record(Event.AUTH_UNLOCK, account_id=account.id, reason="operator")
        return ActionResult(account.id, len(cleared.all()))


def account_condition(
    account_ref: str,
    *,
    account_id: sa.SQLColumnExpression[UUID] = Account.id,
    email: sa.SQLColumnExpression[str] = Account.email,
) -> sa.ColumnElement[bool]:
    """Return the condition that selects an account by its id, or by its address in any spelling.

    :raises AccountNotFound: the text is neither an id nor an address.
    """
    if is_id(account_ref):
        return account_id == UUID(account_ref)
    try:
        return email == email_addresses.normalise(account_ref)
    except ValueError:
        raise AccountNotFound from None
