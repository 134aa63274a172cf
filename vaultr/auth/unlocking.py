"""Ends a lock-out by hand, where its owner cannot wait for it to end by itself."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import addresses, attempts, hand_locks
from vaultr.auth.models import Account, Failures, Session
from vaultr.database.session import transaction
from vaultr.errors import NotFound
from vaultr.wire import is_id


class NoSuchAccount(NotFound):
    """No account has this id or this mail address."""


@dataclass(frozen=True, slots=True)
class Unlocked:
    """What was unlocked: an account, and how many of its counters had counted failures."""

    account_id: UUID
    counters: int


def unlock(who: str) -> Unlocked:
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
        keys = hand_locks.counters_of(work, account.id, account.email)
        keys += [attempts.of_session(one) for one in sessions]
        gone = work.execute(
            sa.delete(Failures).where(Failures.counter.in_(keys)).returning(Failures.counter)
        )
        audit.record(Event.AUTH_UNLOCK, account_id=account.id, reason="operator")
        return Unlocked(account.id, len(gone.all()))


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
        return email == addresses.normalised(who)
    except ValueError:
        raise NoSuchAccount from None
