"""Accounts as an operator sees them: nothing that opens one, addresses only where asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth import login_throttle
from vaultr.auth.admin import actions
from vaultr.auth.admin.actions import NoSuchAccount
from vaultr.auth.models import Account, Factor, Failures, KnownDevice, RecoveryKey, Session
from vaultr.auth.operator_locks import BY_HAND
from vaultr.database.session import reading
from vaultr.settings.model import current_settings
from vaultr.settings.types import Rate

MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """One account of the list."""

    id: UUID
    email: str
    created_at: datetime
    sessions: int
    factors: int
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lock:
    """A counter that is locked: whose it is, until when, and whether an operator did it."""

    counter: str
    until: datetime
    by_operator: bool


@dataclass(frozen=True, slots=True)
class UsedUp:
    """A counter whose window is full, and is not locked for longer.

    :ivar limit: LIMIT_LOGIN_ACCOUNT: so many attempts in so many seconds.
    :ivar next_attempt_at: from when on one more is let in.
    """

    counter: str
    limit: Rate
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """One account, seen closer."""

    account: Listed
    epoch: int
    recovery_key: bool
    sessions: tuple[dict[str, Any], ...]
    locks: tuple[Lock, ...]
    used_up: tuple[UsedUp, ...]


def _columns(now: datetime) -> tuple[Any, ...]:
    live = sa.and_(Session.account_id == Account.id, Session.idle_until > now)
    confirmed = sa.and_(Factor.account_id == Account.id, Factor.confirmed_at.is_not(None))
    return (
        Account.id,
        Account.email,
        Account.created_at,
        sa.select(sa.func.count()).where(live).scalar_subquery(),
        sa.select(sa.func.count()).where(confirmed).scalar_subquery(),
        sa.select(sa.func.max(Session.last_used_at)).where(live).scalar_subquery(),
    )


def listed(*, after: UUID | None, limit: int) -> list[Listed]:
    """List accounts by id, those after ``after`` first, at most ``limit``."""
    query = sa.select(*_columns(clock.now())).order_by(Account.id).limit(min(limit, MOST))
    if after is not None:
        query = query.where(Account.id > after)
    with reading() as work:
        return [Listed(*row) for row in work.execute(query)]


def shown(who: str) -> Shown:
    """Show one account: its sessions, whether it has factors and a recovery key, what is locked.

    Locked or used up is all that `unlocking.unlock` forgets, and nothing else: what is counted by
    a client's address belongs to no account.

    :raises NoSuchAccount: there is none.
    """
    now = clock.now()
    with reading(snapshot=True) as work:
        row = work.execute(sa.select(*_columns(now)).where(actions.named(who))).one_or_none()
        if row is None:
            raise NoSuchAccount
        account = Listed(*row)
        mine = Session.account_id == account.id
        live = sa.select(Session).where(mine, Session.idle_until > now).order_by(Session.created_at)
        sessions = work.scalars(live).all()
        epoch = work.scalars(sa.select(Account.epoch).where(Account.id == account.id)).one()
        has_key = sa.select(sa.exists().where(RecoveryKey.account_id == account.id))
        recovery_key = bool(work.execute(has_key).scalar_one())
        devices = work.scalars(
            sa.select(KnownDevice.device_hash).where(KnownDevice.account_id == account.id)
        ).all()
        counters = _counters(account, sessions, devices)
        locks, used_up = _refusing(work, counters, now)
    shown_sessions = tuple(_session(one) for one in sessions)
    return Shown(account, epoch, recovery_key, shown_sessions, locks, used_up)


def _refusing(
    work: Work, counters: Mapping[str, str], now: datetime
) -> tuple[tuple[Lock, ...], tuple[UsedUp, ...]]:
    """Give those of the counters that let in no attempt now: the locked and the full ones."""
    limit: Rate = current_settings().limit_login_account
    columns = (Failures.counter, Failures.locked_until, Failures.recent)
    found = sa.select(*columns).where(Failures.counter.in_(counters)).order_by(Failures.counter)
    locks, used_up = [], []
    for row in work.execute(found):
        word, ends = counters[row.counter], row.locked_until or now
        if ends > now:
            locks.append(Lock(word, ends, ends - now > BY_HAND))
        room_at = login_throttle.full_until(row.recent, limit, now)
        if room_at is not None and room_at > ends:
            used_up.append(UsedUp(word, limit, room_at))
    return tuple(locks), tuple(used_up)


def _counters(
    account: Listed, sessions: Sequence[Session], devices: Sequence[bytes]
) -> dict[str, str]:
    """Give the counters of an account's attempts, each with a word for it."""
    named = {
        login_throttle.of_stranger(account.email): "devices never seen",
        login_throttle.of_recovery(account.id): "recovery",
    }
    named |= {login_throttle.of_device(account.email, one): "a known device" for one in devices}
    return named | {login_throttle.of_session(one.id): "a session" for one in sessions}


def _session(row: Session) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "device_name": row.device_name,
        "client": row.family,
        "network": row.network,
        "created_at": clock.text(row.created_at),
        "last_used_at": clock.text(row.last_used_at),
    }
