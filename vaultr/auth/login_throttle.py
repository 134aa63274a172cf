"""Login throttling: counts password guesses in the database, and refunds successful ones.

Attempts are counted before anything is hashed. A counter's row stores the timestamps of its last
attempts, which makes an exact sliding window for any number of workers, without Redis. Attempts
over the limit cause a read, but no write.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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
    CLEAR_COUNTER,
    COUNT_ATTEMPT,
    COUNTER_STATE,
    DELETE_COUNTER,
    LOCK_COUNTER,
    REFUND_ATTEMPT,
)
from vaultr.database.session import db, in_transaction, one_statement, transaction
from vaultr.observability import logs, metrics
from vaultr.protocol.encoding import lp
from vaultr.ratelimit import limits
from vaultr.ratelimit.sliding_window import Count, Window
from vaultr.request_context import current_origin
from vaultr.settings.model import current_settings
from vaultr.settings.types import Rate

LONGEST_LOCK: Final = timedelta(hours=24)  # the highest LOCKOUT_MAX_SECONDS
RETENTION: Final = timedelta(days=30)

# A stamp is a time in ms, random hex digits (for two attempts in one ms) and a comma. Times have 13
# digits until the year 2286, so both databases can compare and cut them as text.
_TIME_DIGITS: Final = 13
_STAMP_CHARACTERS: Final = _TIME_DIGITS + 8 + 1
_TEXT_MAX: Final = 2**31 - 1  # length of the column in PostgreSQL; no limit needs that much


def stranger_counter(email: str) -> str:
    """Return the counter of a normalised address for unknown devices; the account may not exist."""
    return f"l:{address_hash(email)}"


def device_counter(email: str, device_hash: bytes) -> str:
    """Return the counter of a known device of an account, which others cannot use up.

    It applies only to this account. Otherwise the owner of the device could reset its failures by
    logging in to another account.
    """
    return f"d:{hashlib.sha256(lp(address_hash(email), device_hash)).hexdigest()[:32]}"


def session_counter(session_id: UUID) -> str:
    """Return the counter of one session's step-ups."""
    return f"s:{session_id.hex}"


def recovery_counter(account_id: UUID) -> str:
    """Return the counter of an account's recovery, for holders of an emailed token."""
    return f"r:{account_id.hex}"


@dataclass(frozen=True, slots=True)
class Counter:
    """A counter of attempts, and its stored state.

    :ivar recent: the timestamps of its last attempts, newest first.
    """

    key: str
    locked_until: datetime | None = None
    recent: str = ""


@dataclass(slots=True)
class Attempt:
    """One guess. It is refunded unless it ``failed``, or was ``cleared`` by a success."""

    counter: Counter
    stamp: str = ""
    failures: int = 0
    locks: int = 0
    failed: bool = False
    cleared: bool = False


def email_counter(account_id: UUID) -> str:
    """Return the counter of emails that an account sends to addresses of others."""
    return f"e:{account_id.hex}"


def read_counter(key: str) -> Counter:
    """Read the state of a counter."""
    with one_statement() as connection:
        row = connection.execute(COUNTER_STATE, {"counter": key}).one_or_none()
    return Counter(key) if row is None else Counter(key, row.locked_until, row.recent)


@contextmanager
def count_attempt(
    counter: Counter, *, precheck: Callable[[], None] | None = None
) -> Iterator[Attempt]:
    """Count a guess by its counter and by the client address, before it is checked.

    The lock on the counter's row serialises parallel guesses: with a limit of 5, exactly five are
    accepted, on any number of workers. If the block ends without ``failed`` (full hash queue,
    database outage), both counts are refunded. A success calls `clear_failures` in its own
    transaction instead.

    :param precheck: may reject the attempt before anything is counted or written.
    :raises Locked: too many failures in a row; nothing is counted.
    :raises TooMany: a limit is used up; nothing is counted or hashed. Nothing is written, unless a
        parallel attempt took the last slot.
    """
    settings = current_settings()
    _check_counter(counter, settings.limit_login_account)
    if precheck is not None:
        precheck()
    by_address = Count(f"la:{current_origin().address}", settings.limit_login_address)
    taken = limits.take(by_address)
    attempt = Attempt(counter)
    try:
        _take_slot(attempt, settings.limit_login_account)
        yield attempt
    finally:
        if not attempt.failed:
            limits.refund(*taken)
            _refund(attempt)


def take(key: str, rate: Rate) -> None:
    """Count one use of a counter in the database, exactly on any number of workers, without Redis.

    :raises TooMany: the limit is used up; nothing is counted.
    """
    now = clock.now()
    end = _window_end(read_counter(key).recent, rate, now)
    if end is not None:
        reset = _seconds(end - _milliseconds(now))
        raise limits.too_many(Window(allowed=False, limit=rate.count, remaining=0, reset=reset))
    _take_slot(Attempt(Counter(key)), rate)


def record_failure(attempt: Attempt, account_id: UUID | None) -> None:
    """Leave the attempt counted; lock its counter after LOCKOUT_FAILURES failures in a row.

    The first lock lasts LOCKOUT_SECONDS, each further one twice as long, up to LOCKOUT_MAX_SECONDS.
    Addresses without an account are locked in the same way, so that a lock reveals nothing. If
    several parallel failures reach the limit, only one of them locks.
    """
    attempt.failed = True
    most = current_settings().lockout_failures
    if attempt.failures < most:
        return
    values = {
        "counter": attempt.counter.key,
        "most": most,
        "locks": attempt.locks,
        "locked_until": clock.now() + lock_length(attempt.locks),
    }
    with transaction() as session:
        if session.execute(LOCK_COUNTER, values).one_or_none() is not None:
            audit.record(Event.AUTH_LOCK, account_id=account_id, out="deny", reason="failures")


def clear_failures(session: Session, attempt: Attempt) -> None:
    """Refund the attempt and reset the failures, in the transaction of the success.

    Earlier attempts stay in the window, so an owner's login does not give an attacker more guesses.

    :raises Locked: failures or an operator locked the counter after the attempt began.
    """
    now, connection = clock.now(), session.connection()
    values = {"counter": attempt.counter.key, "stamp": attempt.stamp, "now": now}
    for statement in (DELETE_COUNTER, CLEAR_COUNTER):
        if connection.execute(statement, values).one_or_none() is not None:
            break
    else:
        state = connection.execute(COUNTER_STATE, {"counter": attempt.counter.key}).one_or_none()
        if state is not None and state.locked_until is not None and state.locked_until > now:
            raise _locked(state.locked_until - now)
    attempt.cleared = True


def remove_old() -> bool:
    """Delete up to 500 rows without a failure for 30 days; return whether more may be left."""
    most = 500
    with transaction() as session:
        expired = sa.select(Failures.counter).where(Failures.failed_at < clock.now() - RETENTION)
        deleted = session.execute(
            sa.delete(Failures)
            .where(Failures.counter.in_(expired.limit(most)))
            .returning(Failures.counter)
        )
        return len(deleted.all()) == most


def full_until(recent: str, rate: Rate, now: datetime) -> datetime | None:
    """Return the time at which a full window accepts the next attempt, in whole seconds.

    :param recent: the timestamps of the counter's last attempts, newest first.
    :return: None if the window is not full.
    """
    ends = _window_end(recent, rate, now)
    return None if ends is None else datetime.fromtimestamp(ends // 1000 + 1, UTC)


def lock_length(locks_before: int) -> timedelta:
    """Return the length of the next lock."""
    settings = current_settings()
    seconds = settings.lockout_seconds << min(locks_before, 16)
    return timedelta(seconds=min(settings.lockout_max_seconds, seconds))


def _take_slot(attempt: Attempt, rate: Rate) -> None:
    """Take a slot in the window; the row lock serialises parallel attempts."""
    now = clock.now()
    stamp = f"{_milliseconds(now):0{_TIME_DIGITS}d}{secrets.token_hex(4)},"
    values = {
        "counter": attempt.counter.key,
        "now": now,
        "stamp": stamp,
        "kept": min(rate.count * _STAMP_CHARACTERS, _TEXT_MAX),
        "place": min((rate.count - 1) * _STAMP_CHARACTERS + 1, _TEXT_MAX),
        "since": f"{_milliseconds(now) - rate.seconds * 1000:0{_TIME_DIGITS}d}",
    }
    # With an Idempotency-Key a transaction is already open, which on SQLite locks the database.
    own = nullcontext(db.session().connection()) if in_transaction() else one_statement()
    with own as connection:
        row = connection.execute(COUNT_ATTEMPT, values).one_or_none()
    if row is None:
        _check_counter(read_counter(attempt.counter.key), rate)
        # The window was full a moment ago.
        raise limits.too_many(Window(allowed=False, limit=rate.count, remaining=0, reset=1))
    attempt.stamp, attempt.failures, attempt.locks = stamp, row.failures, row.locks
    used = _counted_times(row.recent, rate, now)
    reset = used[-1] + rate.seconds * 1000 - _milliseconds(now)
    left = rate.count - len(used)
    limits.report(Window(allowed=True, limit=rate.count, remaining=left, reset=_seconds(reset)))


def _check_counter(counter: Counter, rate: Rate) -> None:
    """Raise an error if the counter is locked or its window is full."""
    now = clock.now()
    if counter.locked_until is not None and counter.locked_until > now:
        raise _locked(counter.locked_until - now)
    ends = _window_end(counter.recent, rate, now)
    if ends is not None:
        metrics.LOGINS.labels("limited").inc()
        reset = _seconds(ends - _milliseconds(now))
        raise limits.too_many(Window(allowed=False, limit=rate.count, remaining=0, reset=reset))


def _locked(wait: timedelta) -> Locked:
    """Return the error for any lock. A different error for operators would reveal an account."""
    metrics.LOGINS.labels("locked").inc()
    longest = timedelta(seconds=current_settings().lockout_max_seconds)
    if wait > longest:
        wait %= longest  # so that it looks like the wait of any other lock
    return Locked(headers={"Retry-After": str(int(wait.total_seconds()) + 1)})


def _refund(attempt: Attempt) -> None:
    """Undo `_take_slot`, unless `clear_failures` did. If the database fails, the count stays."""
    if attempt.cleared or not attempt.stamp:
        return
    values = {"counter": attempt.counter.key, "stamp": attempt.stamp}
    try:
        with one_statement() as connection:
            connection.execute(REFUND_ATTEMPT, values)
    except sa.exc.SQLAlchemyError as error:
        logs.failure("attempt.kept", error)


def _window_end(recent: str, rate: Rate, now: datetime) -> int | None:
    """Return the last millisecond at which a full window is still full; None if it is not full."""
    used = _counted_times(recent, rate, now)
    return None if len(used) < rate.count else used[rate.count - 1] + rate.seconds * 1000


def _counted_times(recent: str, rate: Rate, now: datetime) -> list[int]:
    """Return the times, in ms, of the attempts that still count, newest first."""
    since = _milliseconds(now) - rate.seconds * 1000
    times = [int(stamp[:_TIME_DIGITS]) for stamp in recent.split(",") if stamp]
    return [time for time in times if time >= since]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _seconds(milliseconds: int) -> int:
    return max(1, -(-milliseconds // 1000))
