"""Email addresses, and the normal form in which they are stored and compared."""

import re
import unicodedata
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.models import Account, EmailUndo
from vaultr.protocol.sizes import EMAIL_CHARACTERS

# No white space, no control characters, no characters that require a quoted local part (RFC 5322,
# section 3.2.3). Only sending an email shows whether the address exists.
_PART: Final = r'[^\s@"(),:;<>\[\\\]\x00-\x1f\x7f-\x9f]+'
_ADDRESS: Final = re.compile(f"{_PART}@{_PART}")
PATTERN: Final = f"^ *{_PART}@{_PART} *$"

# RFC 5321, section 4.5.3.1, and the dot-atom of RFC 5322, section 3.2.3: mail servers without
# SMTPUTF8 accept nothing else.
_LOCAL_CHARACTERS: Final = 64
_DOMAIN_CHARACTERS: Final = 255
_ATOM: Final = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(\.{_ATOM})*")

# NFKC shortens a text to at least a quarter. Composing a million combining marks takes minutes and
# blocks all other threads, so the input is limited to four times the maximum.
_INPUT_CHARACTERS: Final = 4 * EMAIL_CHARACTERS


def normalise(text: str) -> str:
    """Return the normal form of an address: trimmed, NFKC, lower case.

    :raises ValueError: not an address: spaces, quotes, two @, or over 320 characters.
    """
    trimmed = text.strip()
    address = unicodedata.normalize("NFKC", trimmed[:_INPUT_CHARACTERS]).lower()
    if (
        len(trimmed) > _INPUT_CHARACTERS
        or len(address) > EMAIL_CHARACTERS
        or not _ADDRESS.fullmatch(address)
    ):
        raise ValueError("an email address of at most 320 characters")
    return address


def deliverable(text: str) -> str:
    """Return the normal form of an address that mail servers accept.

    A domain must stay the same when it is converted to IDNA and back. Otherwise one mailbox would
    have many spellings, because IDNA drops invisible characters.

    :raises ValueError: not an address, or not accepted by mail servers.
    """
    address = normalise(text)
    local, _, domain = address.rpartition("@")
    if len(local) > _LOCAL_CHARACTERS or not _LOCAL.fullmatch(local):
        raise ValueError("the part before the @ must be ASCII, without a leading or double dot")
    try:
        on_the_wire = domain.encode("idna")
        same = domain in (on_the_wire.decode(), on_the_wire.decode("idna"))
    except UnicodeError:
        same = False
    if not same or domain.endswith(".") or len(on_the_wire) > _DOMAIN_CHARACTERS:
        raise ValueError("the part after the @ is not a domain name in its usual form")
    return address


def is_taken(work: Work, email: str, *, requester: UUID | None = None) -> bool:
    """Check whether a normalised address belongs to another account, or may return by an undo.

    One statement checks both, so that an account whose address is being changed has either its old
    or its new address. If two accounts pass this check in parallel, the unique column lets only one
    of them take the address.

    :param requester: the account that requests the address.
    """
    has = sa.exists().where(Account.email == email)
    had = sa.exists().where(EmailUndo.email == email, EmailUndo.expires_at > clock.now())
    if requester is not None:
        has, had = has.where(Account.id != requester), had.where(EmailUndo.account_id != requester)
    return work.execute(sa.select(sa.or_(has, had))).scalar_one()
