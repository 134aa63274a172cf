"""Codes on paper, each of which stands in for a second factor once."""

import hashlib
import secrets
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session as Work

from vaultr import clock
from vaultr.auth.models import RecoveryCode
from vaultr.protocol.encoding import lp

CODES: Final = 10
# Crockford's base32: none of its signs is taken for another. Sixteen of them are 80 random bits,
# which a plain hash keeps: there is nothing to guess offline.
_SIGNS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_SIGNS_A_CODE: Final = 16
_READ_AS: Final = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None})


def replace(work: Work, account_id: UUID) -> list[str]:
    """Draw ten codes in place of those there are; they are shown once, and kept as hashes."""
    drop(work, account_id)
    codes = [_drawn() for _ in range(CODES)]
    now = clock.now()
    rows = [
        {"account_id": account_id, "code_hash": _hash(account_id, code), "created_at": now}
        for code in codes
    ]
    work.execute(sa.insert(RecoveryCode), rows)
    return codes


def drop(work: Work, account_id: UUID) -> None:
    """Remove all codes of an account."""
    work.execute(sa.delete(RecoveryCode).where(RecoveryCode.account_id == account_id))


def use(work: Work, account_id: UUID, given: str) -> int | None:
    """Use up one code; its row decides which of two parallel uses has it.

    :param given: a code in any case, with or without its dashes.
    :return: how many are left, or None if it is none of them (any more).
    """
    mine = RecoveryCode.account_id == account_id
    used = work.execute(
        sa.delete(RecoveryCode)
        .where(mine, RecoveryCode.code_hash == _hash(account_id, given))
        .returning(RecoveryCode.code_hash)
    ).one_or_none()
    if used is None:
        return None
    return work.execute(
        sa.select(sa.func.count()).select_from(RecoveryCode).where(mine)
    ).scalar_one()


def _drawn() -> str:
    signs = "".join(secrets.choice(_SIGNS) for _ in range(_SIGNS_A_CODE))
    return "-".join(signs[at : at + 4] for at in range(0, _SIGNS_A_CODE, 4))


def _hash(account_id: UUID, code: str) -> bytes:
    signs = code.lower().translate(_READ_AS)
    return hashlib.sha256(lp("vaultr/recovery-code", account_id, signs)).digest()
