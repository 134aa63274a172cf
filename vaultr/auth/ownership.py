"""Whose an address is: an account's that has it, or had it until a few days ago."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.models import Account, EmailUndo


def is_taken(work: Work, email: str, *, but: UUID | None = None) -> bool:
    """Tell whether a normalised address is another account's, or may become so again.

    One statement, so that an account which gives the address up at this moment is seen as having
    it or as having had it. The unique column decides a race; this is what everybody asks before.

    :param but: the account that wants it.
    """
    has = sa.exists().where(Account.email == email)
    had = sa.exists().where(EmailUndo.email == email, EmailUndo.expires_at > clock.now())
    if but is not None:
        has, had = has.where(Account.id != but), had.where(EmailUndo.account_id != but)
    return work.execute(sa.select(sa.or_(has, had))).scalar_one()
