"""The row lock that serialises changes to an account."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.models import Account, Session
from vaultr.database.session import lock_rows
from vaultr.errors import Unauthenticated
from vaultr.request_context import Actor


def lock_account(work: Work, account_id: UUID, *, block_writers: bool = False) -> None:
    """Lock an account, so that its changes run one by one.

    With ``block_writers``, this also waits for writers to its vaults, and blocks new ones.

    Take other locks after this one, in this order: the key set, sessions, vaults by id, the email
    counter of a mailbox. Read the values to change in a later statement, because a statement takes
    its snapshot before it waits for a lock.
    """
    account = sa.select(Account.id).where(Account.id == account_id)
    lock_rows(work, account.with_for_update(key_share=not block_writers))


def lock_own_account(
    work: Work, actor: Actor, *, block_writers: bool = False, any_epoch: bool = False
) -> None:
    """Lock the actor's account, then check whether the session is still alive.

    Authentication has already checked the session. But while this call waited for the lock, the
    owner may have ended the session, for example by new credentials or `logout-all`. Then the
    request must have no effect.

    :param any_epoch: accept any epoch; the caller compares it and raises a more precise error.
    :raises Unauthenticated: the session ended, the account has another epoch, or it was deleted.
    """
    lock_account(work, actor.account_id, block_writers=block_writers)
    alive = sa.exists().where(
        Session.id == actor.session_id,
        Session.account_id == actor.account_id,
        Session.idle_until > clock.now(),
        Account.id == Session.account_id,
        sa.or_(sa.literal(any_epoch), Account.epoch == actor.epoch),
    )
    if not work.execute(sa.select(alive)).scalar_one():
        raise Unauthenticated
