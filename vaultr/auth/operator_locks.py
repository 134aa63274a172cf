"""Locks that an operator sets: they hold an account, whatever its address, until one ends them."""

from datetime import timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth import login_throttle
from vaultr.auth.models import Failures, KnownDevice

# A lock that an operator sets ends by an operator; this is only how it is kept.
_FOR_EVER: Final = timedelta(days=36_500)
# A lock longer than any that failures lead to was set by an operator.
BY_HAND: Final = login_throttle.LONGEST_LOCK + timedelta(days=1)

_LOCK: Final = sa.text(
    "INSERT INTO login_failures (counter, failures, locks, locked_until, failed_at, recent)"
    " VALUES (:counter, 0, 0, :until, :until, '') ON CONFLICT (counter) DO UPDATE"
    " SET locked_until = :until, failed_at = :until, failures = 0"
).bindparams(sa.bindparam("until", type_=Failures.failed_at.type))


def counters_of(work: Work, account_id: UUID, email: str) -> list[str]:
    """Name the counters of all ways into an account: by strangers, recovery, known devices."""
    devices = work.scalars(
        sa.select(KnownDevice.device_hash).where(KnownDevice.account_id == account_id)
    )
    keys = [login_throttle.of_stranger(email), login_throttle.of_recovery(account_id)]
    return sorted([*keys, *(login_throttle.of_device(email, one) for one in devices)])


def lock(work: Work, account_id: UUID, email: str) -> None:
    """Lock all ways into an account, whose row is locked: so no device becomes known meanwhile."""
    until = clock.now() + _FOR_EVER
    for key in counters_of(work, account_id, email):
        work.execute(_LOCK, {"counter": key, "until": until})


def follow(work: Work, account_id: UUID, old: str, new: str | None) -> None:
    """Let an operator's lock follow an account, whose row is locked, to its new address.

    It would hold nobody otherwise, for counters go by the address; and whoever is given the old
    one later on would find it locked for ever.

    :param new: None where the account is deleted: the lock ends with it.
    """
    by_hand = sa.delete(Failures).where(
        Failures.counter.in_(counters_of(work, account_id, old)),
        Failures.locked_until > clock.now() + BY_HAND,
    )
    gone = work.execute(by_hand.returning(Failures.counter)).all()
    if gone and new is not None:
        lock(work, account_id, new)
