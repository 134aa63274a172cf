"""Accounts as an operator sees them: no secrets, and full addresses only on request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.auth import login_throttle
from vaultr.auth.admin import actions
from vaultr.auth.admin.actions import AccountNotFound
from vaultr.auth.models import Account, Factor, Failures, KnownDevice, RecoveryKey, Session
from vaultr.auth.operator_locks import OPERATOR_LOCK
from vaultr.database.session import reading
from vaultr.settings.model import current_settings
from vaultr.settings.types import Rate

MAX_LIMIT: Final = 1000

# Returns the machines of an account, as an operator sees them.
MachinesOf = Callable[[UUID], list[dict[str, Any]]]

_MACHINES_OF: Final = AppSlot[MachinesOf]("auth.machines_of")


def init_app(app: Flask, *, machines_of: MachinesOf) -> None:
    """Store the function that lists the machines of an account."""
    _MACHINES_OF.set(app, machines_of)


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account in the list."""

    id: UUID
    email: str
    created_at: datetime
    sessions: int
    factors: int
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class LockedCounter:
    """A locked counter: what it counts, until when, and whether an operator locked it."""

    counter: str
    until: datetime
    by_operator: bool


@dataclass(frozen=True, slots=True)
class FullCounter:
    """A counter whose window is full for longer than the counter is locked.

    :ivar limit: LIMIT_LOGIN_ACCOUNT.
    :ivar next_attempt_at: when the next attempt is accepted.
    """

    counter: str
    limit: Rate
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class AccountDetails:
    """The details of an account."""

    account: AccountSummary
    epoch: int
    recovery_key: bool
    sessions: tuple[dict[str, Any], ...]
    machines: tuple[dict[str, Any], ...]
    locks: tuple[LockedCounter, ...]
    used_up: tuple[FullCounter, ...]


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


def list_accounts(*, after: UUID | None, limit: int) -> list[AccountSummary]:
    """Return up to ``limit`` accounts in the order of their ids, after ``after``."""
    query = sa.select(*_columns(clock.now())).order_by(Account.id).limit(min(limit, MAX_LIMIT))
    if after is not None:
        query = query.where(Account.id > after)
    with reading() as work:
        return [AccountSummary(*row) for row in work.execute(query)]


def show_account(account_ref: str) -> AccountDetails:
    """Return an account's sessions, machines, factors, recovery key and locks.

    The locked and full counters are those that `actions.unlock` clears. Counters of client
    addresses do not belong to an account.

    :raises AccountNotFound: the account does not exist.
    """
    now = clock.now()
    with reading(snapshot=True) as work:
        row = work.execute(
            sa.select(*_columns(now)).where(actions.account_condition(account_ref))
        ).one_or_none()
        if row is None:
            raise AccountNotFound
        account = AccountSummary(*row)
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
        locks, used_up = _blocking_counters(work, counters, now)
    shown_sessions = tuple(_session(session) for session in sessions)
    machines = tuple(_MACHINES_OF.get()(account.id))
    return AccountDetails(account, epoch, recovery_key, shown_sessions, machines, locks, used_up)


def _blocking_counters(
    work: Work, counters: Mapping[str, str], now: datetime
) -> tuple[tuple[LockedCounter, ...], tuple[FullCounter, ...]]:
    """Return the counters that are locked or full."""
    limit: Rate = current_settings().limit_login_account
    columns = (Failures.counter, Failures.locked_until, Failures.recent)
    found = sa.select(*columns).where(Failures.counter.in_(counters)).order_by(Failures.counter)
    locks, used_up = [], []
    for row in work.execute(found):
        word, ends = counters[row.counter], row.locked_until or now
        if ends > now:
            locks.append(LockedCounter(word, ends, ends - now > OPERATOR_LOCK))
        room_at = login_throttle.full_until(row.recent, limit, now)
        if room_at is not None and room_at > ends:
            used_up.append(FullCounter(word, limit, room_at))
    return tuple(locks), tuple(used_up)


def _counters(
    account: AccountSummary, sessions: Sequence[Session], devices: Sequence[bytes]
) -> dict[str, str]:
    """Return the counters of an account, each with a description."""
    named = {
        login_throttle.stranger_counter(account.email): "devices never seen",
        login_throttle.recovery_counter(account.id): "recovery",
    }
    named |= {
        login_throttle.device_counter(account.email, device): "a known device" for device in devices
    }
    return named | {login_throttle.session_counter(session.id): "a session" for session in sessions}


def _session(row: Session) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "device_name": row.device_name,
        "client": row.family,
        "network": row.network,
        "created_at": clock.text(row.created_at),
        "last_used_at": clock.text(row.last_used_at),
    }
