"""Recovery codes: one-time replacements for a second factor."""

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
# Crockford's base32, without characters that look alike. Sixteen characters have 80 random bits,
# which need no slow hash.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_CODE_CHARACTERS: Final = 16
_TRANSLATION: Final = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None})


def replace_codes(work: Work, account_id: UUID) -> list[str]:
    """Replace all codes of an account by ten new ones; return them, and store their hashes."""
    delete_codes(work, account_id)
    codes = [_new_code() for _ in range(CODES)]
    now = clock.now()
    rows = [
        {"account_id": account_id, "code_hash": _hash(account_id, code), "created_at": now}
        for code in codes
    ]
    work.execute(sa.insert(RecoveryCode), rows)
    return codes


def delete_codes(work: Work, account_id: UUID) -> None:
    """Delete all codes of an account."""
    work.execute(sa.delete(RecoveryCode).where(RecoveryCode.account_id == account_id))


def use_code(work: Work, account_id: UUID, code: str) -> int | None:
    """Use up one code; deleting its row serialises parallel uses.

    :param code: a code in any case, with or without dashes.
    :return: the number of codes left, or None if the code is wrong or used.
    """
    mine = RecoveryCode.account_id == account_id
    used = work.execute(
        sa.delete(RecoveryCode)
        .where(mine, RecoveryCode.code_hash == _hash(account_id, code))
        .returning(RecoveryCode.code_hash)
    ).one_or_none()
    if used is None:
        return None
    return work.execute(
        sa.select(sa.func.count()).select_from(RecoveryCode).where(mine)
    ).scalar_one()


def _new_code() -> str:
    characters = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_CHARACTERS))
    return "-".join(characters[at : at + 4] for at in range(0, _CODE_CHARACTERS, 4))


def _hash(account_id: UUID, code: str) -> bytes:
    characters = code.lower().translate(_TRANSLATION)
    return hashlib.sha256(lp("vaultr/recovery-code", account_id, characters)).digest()
