"""An account goes with all that it holds; what was recorded about it stays."""

from collections.abc import Sequence
from typing import Final, Protocol, cast
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, current_app
from sqlalchemy.orm import Session as Work

from vaultr import idempotency
from vaultr.actor import Actor
from vaultr.audit import service as audit
from vaultr.audit.events import Event
from vaultr.auth import hand_locks, letters
from vaultr.auth.credentials import end_sessions
from vaultr.auth.locking import lock_account
from vaultr.auth.models import Account
from vaultr.database.session import transaction
from vaultr.errors import Unauthenticated
from vaultr.mail import service as mail

_KEEPERS: Final = "vaultr.account_keepers"


class Keeper(Protocol):
    """Keeps much of an account: too much to go in the one statement that deletes its row."""

    def delete_all_of(self, work: Work, account_id: UUID) -> None:
        """Delete all that is kept of an account, which is locked ``FOR UPDATE``, step by step."""


def init_app(app: Flask, *, keepers: Sequence[Keeper]) -> None:
    """Say who keeps much of an account."""
    app.extensions[_KEEPERS] = tuple(keepers)


def delete_account(actor: Actor) -> None:
    """Delete the actor's account in one transaction: sessions, keys, vaults, machines, all.

    The account is locked as nobody else may hold it, so writers are over before, or come after
    and find their session dead. The address is free at once.

    :raises Unauthenticated: the account was deleted in the meantime.
    """
    with transaction() as work:
        lock_account(work, actor.account_id, alone=True)
        found = sa.select(Account.email).where(Account.id == actor.account_id)
        email = work.execute(found).scalar_one_or_none()
        if email is None:
            raise Unauthenticated
        end_sessions(work, actor.account_id, reason="account-deleted")
        for keeper in cast("tuple[Keeper, ...]", current_app.extensions[_KEEPERS]):
            keeper.delete_all_of(work, actor.account_id)
        hand_locks.follow(work, actor.account_id, email, None)
        idempotency.forget(actor.account_id)
        work.execute(sa.delete(Account).where(Account.id == actor.account_id))
        audit.record(Event.ACCOUNT_DELETE, account_id=actor.account_id)
        mail.send(letters.account_deleted(), email)
