"""Guesses at a password are counted before anything is hashed, and given back when right."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from vaultr import clock, metrics
from vaultr.actor import current_origin
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.errors import Locked
from vaultr.auth.invented import address_hash
from vaultr.auth.models import Failures
from vaultr.database.session import transaction
from vaultr.limits import blanket
from vaultr.limits.counters import Count
from vaultr.settings import Settings

FAILURES_IN_A_ROW: Final = 100
FIRST_LOCK: Final = timedelta(minutes=15)
LONGEST_LOCK: Final = timedelta(hours=24)
_KEPT: Final = timedelta(days=30)

# In words of both databases; the row, once touched, stays locked until the commit.
_ONE_MORE: Final = sa.text(
    "INSERT INTO login_failures (counter, failures, locks, failed_at) VALUES (:counter, 1, 0, :now)"
    " ON CONFLICT (counter) DO UPDATE SET failures = login_failures.failures + 1, failed_at = :now"
    " RETURNING failures, locks"
).bindparams(sa.bindparam("now", type_=Failures.failed_at.type))


def of_stranger(email: str) -> str:
    """Name the counter of a normalised address, existing or not, for devices never seen there."""
    return f"l:{address_hash(email)}"


def of_device(device_hash: bytes) -> str:
    """Name the counter of one known device, which no stranger can use up."""
    return f"d:{device_hash[:16].hex()}"


def of_session(session_id: UUID) -> str:
    """Name the counter of one live session's step-ups."""
    return f"s:{session_id.hex}"


@dataclass(frozen=True, slots=True)
class Counter:
    """What an attempt is counted by, and how that stands in SQL.

    :ivar failures: in a row, since the last success or lock; None if there was none yet.
    """

    key: str
    failures: int | None = None
    locked_until: datetime | None = None


@dataclass(slots=True)
class Attempt:
    """One guess. It is given back unless it is said to have ``failed``."""

    counter: Counter
    failed: bool = False


@contextmanager
def counted(counter: Counter) -> Iterator[Attempt]:
    """Count a guess by its counter and by the client's address, in one call, before it is hashed.

    Parallel guesses cannot slip through. Whatever ends the block without having ``failed`` (a
    right key, a full hash queue, a database that is away) gives both counts back.

    :raises Locked: too many failures in a row; nothing is counted.
    :raises TooMany: a limit is used up; nothing is counted, hashed or written.
    """
    _refuse_locked(counter)
    settings: Settings = current_app.config["SETTINGS"]
    counts = (
        Count(counter.key, settings.limit_login_account),
        Count(f"la:{current_origin().address}", settings.limit_login_address),
    )
    blanket.take(*counts)
    attempt = Attempt(counter)
    try:
        yield attempt
    finally:
        if not attempt.failed:
            blanket.refund(*counts)


def note_failure(attempt: Attempt, account_id: UUID | None) -> None:
    """Count a failure in a row, and lock the counter at the hundredth.

    The first lock lasts 15 minutes, each further one twice as long, up to a day. Addresses
    without an account are locked alike, so that a lock tells nothing.
    """
    attempt.failed = True
    now = clock.now()
    with transaction() as session:
        values = {"counter": attempt.counter.key, "now": now}
        failures, locks = session.execute(_ONE_MORE, values).one()
        if failures < FAILURES_IN_A_ROW:
            return
        session.execute(
            sa.update(Failures)
            .where(Failures.counter == attempt.counter.key)
            .values(failures=0, locks=locks + 1, locked_until=now + lock_length(locks))
        )
        audit.record(Event.AUTH_LOCK, account_id=account_id, out="deny", reason="failures")


def forget_failures(session: Session, attempt: Attempt) -> None:
    """Begin to count anew, in the transaction of the success."""
    if attempt.counter.failures is not None:
        session.execute(sa.delete(Failures).where(Failures.counter == attempt.counter.key))


def remove_old() -> bool:
    """Remove up to 500 rows that nobody failed at for 30 days; tell whether more may be left."""
    most = 500
    with transaction() as session:
        over = sa.select(Failures.counter).where(Failures.failed_at < clock.now() - _KEPT)
        gone = session.execute(
            sa.delete(Failures)
            .where(Failures.counter.in_(over.limit(most)))
            .returning(Failures.counter)
        )
        return len(gone.all()) == most


def lock_length(locks_before: int) -> timedelta:
    """Tell how long the next lock lasts after so many in a row."""
    return min(LONGEST_LOCK, FIRST_LOCK * (1 << min(locks_before, 16)))


def _refuse_locked(counter: Counter) -> None:
    until = counter.locked_until
    wait = (until - clock.now()).total_seconds() if until else 0
    if wait > 0:
        metrics.LOGINS.labels("locked").inc()
        raise Locked(headers={"Retry-After": str(int(wait) + 1)})
