"""Accounts as an operator sees them: nothing that opens one, addresses only where asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from vaultr import clock
from vaultr.auth import attempts, unlocking
from vaultr.auth.hand_locks import BY_HAND
from vaultr.auth.models import Account, Factor, Failures, KnownDevice, RecoveryKey, Session
from vaultr.auth.unlocking import NoSuchAccount
from vaultr.database.session import reading

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
class Shown:
    """One account, seen closer."""

    account: Listed
    epoch: int
    recovery_key: bool
    sessions: tuple[dict[str, Any], ...]
    locks: tuple[Lock, ...]


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

    :raises NoSuchAccount: there is none.
    """
    now = clock.now()
    with reading(snapshot=True) as work:
        row = work.execute(sa.select(*_columns(now)).where(unlocking.named(who))).one_or_none()
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
        locked = sa.select(Failures.counter, Failures.locked_until).where(
            Failures.counter.in_(counters), Failures.locked_until > now
        )
        locks = tuple(
            Lock(counters[one.counter], one.locked_until, one.locked_until - now > BY_HAND)
            for one in work.execute(locked.order_by(Failures.counter))
        )
    return Shown(account, epoch, recovery_key, tuple(_session(one) for one in sessions), locks)


def _counters(
    account: Listed, sessions: Sequence[Session], devices: Sequence[bytes]
) -> dict[str, str]:
    """Give the counters of an account's attempts, each with a word for it."""
    named = {
        attempts.of_stranger(account.email): "devices never seen",
        attempts.of_recovery(account.id): "recovery",
    }
    named |= {attempts.of_device(account.email, one): "a known device" for one in devices}
    return named | {attempts.of_session(one.id): "a session" for one in sessions}


def _session(row: Session) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "device_name": row.device_name,
        "client": row.family,
        "network": row.network,
        "created_at": clock.text(row.created_at),
        "last_used_at": clock.text(row.last_used_at),
    }
