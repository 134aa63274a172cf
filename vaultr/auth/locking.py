"""The one lock under which an account changes."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr.auth.models import Account


def lock_account(work: Work, account_id: UUID, *, alone: bool = False) -> None:
    """Let other changes of an account wait for this one; with ``alone`` its vaults' writers too.

    Whatever is locked besides is locked after it, in this order: the key set, sessions, vaults by
    id, the mailbox's count of letters. What is read for the change is read by later statements:
    what one sees is settled when it begins to wait for a lock.
    """
    account = sa.select(Account.id).where(Account.id == account_id)
    work.execute(account.with_for_update(key_share=not alone))
