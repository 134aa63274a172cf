"""Account locks set by an operator; they survive changes of address until an operator unlocks."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth import login_throttle
from vaultr.auth.models import Failures, KnownDevice

# An operator's lock has no end, so it is stored with a length of a hundred years.
_LOCK_LENGTH: Final = timedelta(days=36_500)
# Failures cannot cause a longer lock than this, so an operator set it.
OPERATOR_LOCK: Final = login_throttle.LONGEST_LOCK + timedelta(days=1)

_LOCK: Final = sa.text(
    "INSERT INTO login_failures (counter, failures, locks, locked_until, failed_at, recent)"
    " VALUES (:counter, 0, 0, :until, :until, '') ON CONFLICT (counter) DO UPDATE"
    " SET locked_until = :until, failed_at = :until, failures = 0"
).bindparams(sa.bindparam("until", type_=Failures.failed_at.type))


def locked_sql(counter: str) -> str:
    """Return the SQL condition that an operator locked an account; bind `lock_end` as a parameter.

    :param counter: SQL of the counter of the account's recovery, see `lock_counter`.
    """
    return (
        "EXISTS (SELECT 1 FROM login_failures f"  # nosec B608 - constants only
        f" WHERE f.counter = {counter} AND f.locked_until > :lock_end)"
    )


def lock_counter(account_id: UUID) -> str:
    """Return the counter that shows whether an operator has locked an account."""
    return login_throttle.recovery_counter(account_id)


def lock_end() -> datetime:
    """Return a time after the end of any lock caused by failures."""
    return clock.now() + OPERATOR_LOCK


def account_counters(work: Work, account_id: UUID, email: str) -> list[str]:
    """Return the counters of an account: strangers, recovery and known devices."""
    devices = work.scalars(
        sa.select(KnownDevice.device_hash).where(KnownDevice.account_id == account_id)
    )
    keys = [login_throttle.stranger_counter(email), login_throttle.recovery_counter(account_id)]
    return sorted([*keys, *(login_throttle.device_counter(email, device) for device in devices)])


def lock(work: Work, account_id: UUID, email: str) -> None:
    """Lock all counters of an account. Its row is locked, so no device becomes known meanwhile."""
    until = clock.now() + _LOCK_LENGTH
    for key in account_counters(work, account_id, email):
        work.execute(_LOCK, {"counter": key, "until": until})


def move_lock(work: Work, account_id: UUID, old: str, new: str | None) -> None:
    """Move an operator's lock to the account's new address; the account's row is locked.

    Counters are named by address. Without this, the account would no longer be locked, but the next
    owner of the old address would be.

    :param new: None if the account is deleted; the lock ends then.
    """
    operator_locked = sa.delete(Failures).where(
        Failures.counter.in_(account_counters(work, account_id, old)),
        Failures.locked_until > clock.now() + OPERATOR_LOCK,
    )
    deleted = work.execute(operator_locked.returning(Failures.counter)).all()
    if deleted and new is not None:
        lock(work, account_id, new)
