"""Mail addresses in the one form in which they are compared and kept."""

import re
import unicodedata
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.models import Account, EmailUndo
from vaultr.protocol.sizes import EMAIL_CHARACTERS

# Neither white space nor control characters, nor what only a quoted name may hold (RFC 5322,
# section 3.2.3). Nothing more: whether mail arrives there, the mail shows.
_PART: Final = r'[^\s@"(),:;<>\[\\\]\x00-\x1f\x7f-\x9f]+'
_ADDRESS: Final = re.compile(f"{_PART}@{_PART}")
PATTERN: Final = f"^ *{_PART}@{_PART} *$"

# NFKC makes no text shorter than a quarter. To compose a million marks takes it minutes, during
# which no other thread runs, so it is given no more than could become an address.
_MOST_GIVEN: Final = 4 * EMAIL_CHARACTERS


def normalised(text: str) -> str:
    """Trim, apply NFKC, lower the case, and nothing more: two addresses are one if this says so.

    :raises ValueError: it is no address: spaces, quotes, two @, over 320 characters.
    """
    given = text.strip()
    address = unicodedata.normalize("NFKC", given[:_MOST_GIVEN]).lower()
    if (
        len(given) > _MOST_GIVEN
        or len(address) > EMAIL_CHARACTERS
        or not _ADDRESS.fullmatch(address)
    ):
        raise ValueError("a mail address of at most 320 characters")
    return address


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
