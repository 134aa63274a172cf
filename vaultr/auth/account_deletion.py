"""An account goes with all that it holds; what was recorded about it stays."""

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session as Work

from vaultr.app_state import AppSlot
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import operator_locks
from vaultr.auth.account_lock import lock_own
from vaultr.auth.credential_change import end_sessions
from vaultr.auth.emails import account
from vaultr.auth.models import Account
from vaultr.database.session import transaction
from vaultr.mail import service as mail
from vaultr.request_context import Actor

# Deletes the data of an account, which is locked ``FOR UPDATE``, that is too much for a cascade.
Deleter = Callable[[Work, UUID], None]

_DELETERS: Final = AppSlot[tuple[Deleter, ...]]("auth.account_deleters")


def init_app(app: Flask, *, deleters: Sequence[Deleter]) -> None:
    """Store the functions that delete data of an account that other packages store."""
    _DELETERS.set(app, tuple(deleters))


def delete_account(actor: Actor) -> None:
    """Delete the actor's account in one transaction: sessions, keys, vaults, machines, all.

    The account is locked as nobody else may hold it, so writers are over before, or come after
    and find their session dead. The address is free at once.

    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    with transaction() as work:
        lock_own(work, actor, alone=True)
        delete(work, actor.account_id)


def delete(work: Work, account_id: UUID) -> None:
    """Delete an account that is locked ``FOR UPDATE``, and tell its owner."""
    email = work.execute(sa.select(Account.email).where(Account.id == account_id)).scalar_one()
    end_sessions(work, account_id, reason="account-deleted")
    for delete_data in _DELETERS.get():
        delete_data(work, account_id)
    operator_locks.follow(work, account_id, email, None)
    work.execute(sa.delete(Account).where(Account.id == account_id))
    audit.record(Event.ACCOUNT_DELETE, account_id=account_id)
    mail.send(account.account_deleted(), email)
