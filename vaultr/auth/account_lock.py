"""The one lock under which an account changes."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.models import Account, Session
from vaultr.database.session import lock_rows
from vaultr.errors import Unauthenticated
from vaultr.request_context import Actor


def lock_account(work: Work, account_id: UUID, *, alone: bool = False) -> None:
    """Let other changes of an account wait for this one; with ``alone`` its vaults' writers too.

    Whatever is locked besides is locked after it, in this order: the key set, sessions, vaults by
    id, the mailbox's count of letters. What is read for the change is read by later statements:
    what one sees is settled when it begins to wait for a lock.
    """
    account = sa.select(Account.id).where(Account.id == account_id)
    lock_rows(work, account.with_for_update(key_share=not alone))


def lock_own(work: Work, actor: Actor, *, alone: bool = False, any_epoch: bool = False) -> None:
    """Lock the actor's account, and find out under the lock whether the session still lives.

    The door asked before; but while this waited the owner may have ended the session, by new
    credentials, `logout-all` or else, and nothing that it asked for may happen after that.

    :param any_epoch: whoever asks compares the epoch, and says more about it.
    :raises Unauthenticated: the session ended, its account key has another epoch, or both are gone.
    """
    lock_account(work, actor.account_id, alone=alone)
    alive = sa.exists().where(
        Session.id == actor.session_id,
        Session.account_id == actor.account_id,
        Session.idle_until > clock.now(),
        Account.id == Session.account_id,
        sa.or_(sa.literal(any_epoch), Account.epoch == actor.epoch),
    )
    if not work.execute(sa.select(alive)).scalar_one():
        raise Unauthenticated
