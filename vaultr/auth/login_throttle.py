"""Guesses are counted in the database before anything is hashed, and given back when right.

One row a counter holds the stamps of its last attempts: a moving window that is exact with any
number of workers, and with Redis away. What is over the limit was only read, never written.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr import clock
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth.decoy_accounts import address_hash
from vaultr.auth.errors import Locked
from vaultr.auth.models import Failures
from vaultr.auth.queries import (
    COUNT_ATTEMPT,
    COUNTER_STATE,
    FORGET_COUNTER,
    FORGIVE_ATTEMPT,
    GIVE_BACK_ATTEMPT,
    LOCK_COUNTER,
)
from vaultr.database.session import one_statement, transaction
from vaultr.observability import logs, metrics
from vaultr.protocol.encoding import lp
from vaultr.ratelimit import limits
from vaultr.ratelimit.sliding_window import Count, Window
from vaultr.request_context import current_origin
from vaultr.settings.model import current_settings
from vaultr.settings.types import Rate

FAILURES_IN_A_ROW: Final = 100
FIRST_LOCK: Final = timedelta(minutes=15)
LONGEST_LOCK: Final = timedelta(hours=24)
KEPT: Final = timedelta(days=30)

# A stamp is its time in ms, drawn hex digits (two of one ms are two) and a comma. As times have 13
# digits until the year 2286, both databases order and cut them as texts.
_TIME: Final = 13
_STAMP: Final = _TIME + 8 + 1
_LONGEST: Final = 2**31 - 1  # of a text, by which PostgreSQL counts; no limit is as high


def of_stranger(email: str) -> str:
    """Name the counter of a normalised address, existing or not, for devices never seen there."""
    return f"l:{address_hash(email)}"


def of_device(email: str, device_hash: bytes) -> str:
    """Name the counter of one device known to an account, which no stranger can use up.

    Of that account alone: elsewhere the device's owner could begin the row of failures anew.
    """
    return f"d:{hashlib.sha256(lp(address_hash(email), device_hash)).hexdigest()[:32]}"


def of_session(session_id: UUID) -> str:
    """Name the counter of one live session's step-ups."""
    return f"s:{session_id.hex}"


def of_recovery(account_id: UUID) -> str:
    """Name the counter of who holds a mailed token of an account's recovery."""
    return f"r:{account_id.hex}"


@dataclass(frozen=True, slots=True)
class Counter:
    """What an attempt is counted by, and how that stood in SQL when it was read.

    :ivar recent: the stamps of its last attempts, newest first.
    """

    key: str
    locked_until: datetime | None = None
    recent: str = ""


@dataclass(slots=True)
class Attempt:
    """One guess. It is given back unless it is said to have ``failed``, or is ``forgiven``."""

    counter: Counter
    stamp: str = ""
    failures: int = 0
    locks: int = 0
    failed: bool = False
    forgiven: bool = False


def standing(key: str) -> Counter:
    """Read how a counter stands, where no other read brings it along."""
    with one_statement() as connection:
        row = connection.execute(COUNTER_STATE, {"counter": key}).one_or_none()
    return Counter(key) if row is None else Counter(key, row.locked_until, row.recent)


@contextmanager
def counted(counter: Counter, *, first: Callable[[], None] | None = None) -> Iterator[Attempt]:
    """Count a guess by its counter and by the client's address, before it is checked.

    The counter's row decides between parallel guesses: of those that a limit of 5 lets in, the
    database commits 5, whichever worker they came to. Whatever ends the block without having
    ``failed`` (a full hash queue, a database that is away) gives both counts back; a success does
    so in its own transaction, by `forget_failures`.

    :param first: may refuse what no limit does, before anything is counted or written.
    :raises Locked: too many failures in a row; nothing is counted.
    :raises TooMany: a limit is used up; nothing is counted or hashed, and nothing is written
        unless the last place was lost at this very moment.
    """
    settings = current_settings()
    _refuse(counter, settings.limit_login_account)
    if first is not None:
        first()
    by_address = Count(f"la:{current_origin().address}", settings.limit_login_address)
    limits.take(by_address)
    attempt = Attempt(counter)
    try:
        _reserve(attempt, settings.limit_login_account)
        yield attempt
    finally:
        if not attempt.failed:
            limits.refund(by_address)
            _give_back(attempt)


def note_failure(attempt: Attempt, account_id: UUID | None) -> None:
    """Let the attempt stay counted, and lock its counter if it was the hundredth in a row.

    The first lock lasts 15 minutes, each further one twice as long, up to a day. Addresses
    without an account are locked alike, so that a lock tells nothing. Of parallel failures that
    are both over a hundred one locks.
    """
    attempt.failed = True
    if attempt.failures < FAILURES_IN_A_ROW:
        return
    values = {
        "counter": attempt.counter.key,
        "most": FAILURES_IN_A_ROW,
        "locks": attempt.locks,
        "locked_until": clock.now() + lock_length(attempt.locks),
    }
    with transaction() as session:
        if session.execute(LOCK_COUNTER, values).one_or_none() is not None:
            audit.record(Event.AUTH_LOCK, account_id=account_id, out="deny", reason="failures")


def forget_failures(session: Session, attempt: Attempt) -> None:
    """Give the attempt back and begin to count the row anew, in the transaction of the success.

    Earlier attempts of the window stay: a success of the owner gives a stranger none.

    :raises Locked: the counter was locked since the attempt began, by failures or an operator.
    """
    now, connection = clock.now(), session.connection()
    values = {"counter": attempt.counter.key, "stamp": attempt.stamp, "now": now}
    for statement in (FORGET_COUNTER, FORGIVE_ATTEMPT):
        if connection.execute(statement, values).one_or_none() is not None:
            break
    else:
        state = connection.execute(COUNTER_STATE, {"counter": attempt.counter.key}).one_or_none()
        if state is not None and state.locked_until is not None and state.locked_until > now:
            raise _locked(state.locked_until - now)
    attempt.forgiven = True


def remove_old() -> bool:
    """Remove up to 500 rows that nobody failed at for 30 days; tell whether more may be left."""
    most = 500
    with transaction() as session:
        over = sa.select(Failures.counter).where(Failures.failed_at < clock.now() - KEPT)
        gone = session.execute(
            sa.delete(Failures)
            .where(Failures.counter.in_(over.limit(most)))
            .returning(Failures.counter)
        )
        return len(gone.all()) == most


def full_until(recent: str, rate: Rate, now: datetime) -> datetime | None:
    """Tell from which whole second on a window that is full lets in the next attempt.

    :param recent: the stamps of its counter's last attempts, newest first.
    :return: None where it has room.
    """
    ends = _ends(recent, rate, now)
    return None if ends is None else datetime.fromtimestamp(ends // 1000 + 1, UTC)


def lock_length(locks_before: int) -> timedelta:
    """Tell how long the next lock lasts after so many in a row."""
    return min(LONGEST_LOCK, FIRST_LOCK * (1 << min(locks_before, 16)))


def _reserve(attempt: Attempt, rate: Rate) -> None:
    """Take a place in the window, or find it full; the row's lock decides between twins."""
    now = clock.now()
    stamp = f"{_milliseconds(now):0{_TIME}d}{secrets.token_hex(4)},"
    values = {
        "counter": attempt.counter.key,
        "now": now,
        "stamp": stamp,
        "kept": min(rate.count * _STAMP, _LONGEST),
        "place": min((rate.count - 1) * _STAMP + 1, _LONGEST),
        "since": f"{_milliseconds(now) - rate.seconds * 1000:0{_TIME}d}",
    }
    with one_statement() as connection:
        row = connection.execute(COUNT_ATTEMPT, values).one_or_none()
    if row is None:
        _refuse(standing(attempt.counter.key), rate)
        raise limits.too_many(Window(False, rate.count, 0, 1))  # it was full a moment ago
    attempt.stamp, attempt.failures, attempt.locks = stamp, row.failures, row.locks
    used = _used(row.recent, rate, now)
    reset = used[-1] + rate.seconds * 1000 - _milliseconds(now)
    limits.report(Window(True, rate.count, rate.count - len(used), _seconds(reset)))


def _refuse(counter: Counter, rate: Rate) -> None:
    """Refuse what a lock or a full window shows without counting anything."""
    now = clock.now()
    if counter.locked_until is not None and counter.locked_until > now:
        raise _locked(counter.locked_until - now)
    ends = _ends(counter.recent, rate, now)
    if ends is not None:
        metrics.LOGINS.labels("limited").inc()
        reset = _seconds(ends - _milliseconds(now))
        raise limits.too_many(Window(False, rate.count, 0, reset))


def _locked(wait: timedelta) -> Locked:
    """Refuse alike whoever locked it: only accounts have an operator's lock, which has no end."""
    metrics.LOGINS.labels("locked").inc()
    if wait > LONGEST_LOCK:
        wait %= LONGEST_LOCK  # so it grows shorter as any other does
    return Locked(headers={"Retry-After": str(int(wait.total_seconds()) + 1)})


def _give_back(attempt: Attempt) -> None:
    """Undo what `_reserve` wrote, unless a success did; without a database it stays counted."""
    if attempt.forgiven or not attempt.stamp:
        return
    values = {"counter": attempt.counter.key, "stamp": attempt.stamp}
    try:
        with one_statement() as connection:
            connection.execute(GIVE_BACK_ATTEMPT, values)
    except sa.exc.SQLAlchemyError as error:
        logs.failure("attempt.kept", error)


def _ends(recent: str, rate: Rate, now: datetime) -> int | None:
    """Give the last time in ms at which a window that is full still is; None if it has room."""
    used = _used(recent, rate, now)
    return None if len(used) < rate.count else used[rate.count - 1] + rate.seconds * 1000


def _used(recent: str, rate: Rate, now: datetime) -> list[int]:
    """List the times in ms of the attempts that still count, newest first."""
    since = _milliseconds(now) - rate.seconds * 1000
    times = [int(stamp[:_TIME]) for stamp in recent.split(",") if stamp]
    return [time for time in times if time >= since]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))
