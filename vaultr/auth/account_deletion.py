"""Account deletion: removes an account and all its data except its audit events."""

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
from vaultr.auth.account_lock import lock_own_account
from vaultr.auth.credential_change import end_sessions
from vaultr.auth.emails import account
from vaultr.auth.models import Account
from vaultr.database.session import transaction
from vaultr.mail import service as mail
from vaultr.request_context import Actor

# Deletes one kind of data of an account, if the data is too large for a cascade or belongs to
# another feature. The caller has locked the account ``FOR UPDATE``.
Deleter = Callable[[Work, UUID], None]

_DELETERS: Final = AppSlot[tuple[Deleter, ...]]("auth.account_deleters")


def init_app(app: Flask, *, deleters: Sequence[Deleter]) -> None:
    """Store the functions that delete an account's data in other packages."""
    _DELETERS.set(app, tuple(deleters))


def delete_account(actor: Actor) -> None:
    """Delete the actor's account in one transaction: sessions, keys, vaults and machines.

    The account is locked exclusively. Concurrent writers finish first, or wait and then fail
    because their session is dead. The email address can be used again immediately.

    :raises Unauthenticated: the session or the account ended in the meantime.
    """
    with transaction() as work:
        lock_own_account(work, actor, block_writers=True)
        delete(work, actor.account_id)


def delete(work: Work, account_id: UUID) -> None:
    """Delete an account that is locked ``FOR UPDATE``, and email its owner."""
    email = work.execute(sa.select(Account.email).where(Account.id == account_id)).scalar_one()
    end_sessions(work, account_id, reason="account-deleted")
    for delete_data in _DELETERS.get():
        delete_data(work, account_id)
    operator_locks.move_lock(work, account_id, email, None)
    work.execute(sa.delete(Account).where(Account.id == account_id))
    audit.record(Event.ACCOUNT_DELETE, account_id=account_id)
    mail.send(account.account_deleted(), email)
