"""Issues, rotates and revokes the tokens that are kept in SQL: refresh tokens and mailed ones."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from vaultr.auth.models import RefreshToken
from vaultr.protocol.encoding import b64, unb64_exactly

TOKEN_BYTES: Final = 32
# How long a lost answer may be asked for again; after that a rotated token is a copied one.
AGAIN: Final = timedelta(seconds=30)


class Use(Enum):
    """What came of a presented refresh token."""

    ROTATED = auto()
    AGAIN = auto()
    REUSED = auto()


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a refresh token was worth, and the one that follows it (not if it was reused)."""

    use: Use
    successor: bytes | None = field(default=None, repr=False)


def mail_token() -> str:
    """Draw a token for a letter: one word that no command takes for an option."""
    while (token := b64(secrets.token_bytes(TOKEN_BYTES))).startswith("-"):
        pass
    return token


def hash_of(token: str | bytes) -> bytes:
    """Give what is kept of a token, SHA-256: it has 256 random bits, which need no slow hash."""
    return hashlib.sha256(token.encode() if isinstance(token, str) else token).digest()


def presented(text: str) -> bytes | None:
    """Read a refresh token as a client sent it; None for what cannot be one."""
    try:
        return unb64_exactly(text, TOKEN_BYTES)
    except ValueError:
        return None


def first(session: Session, session_id: UUID, now: datetime) -> bytes:
    """Begin the chain of a new session."""
    token = secrets.token_bytes(TOKEN_BYTES)
    _keep(session, token, session_id, now)
    return token


def rotate(session: Session, token: bytes, session_id: UUID, now: datetime) -> Rotation | None:
    """Give the successor of a token, whose session row the caller has locked.

    The first time it is made; until it is used itself, and for `AGAIN` at most, whoever presents
    the same token is given the same successor, so parallel refreshes agree.

    :return: None if there is no such token (any more).
    """
    found = session.execute(_BY_HASH, {"hash": hash_of(token)}).one_or_none()
    if found is None or found.session_id != session_id:
        return None
    if found.nonce is None or found.rotated_at is None:
        nonce = secrets.token_bytes(TOKEN_BYTES)
        values = {"hash": hash_of(token), "drawn": nonce, "now": now}
        session.connection().execute(_ROTATE, values)
        follower = successor(token, nonce)
        _keep(session, follower, session_id, now)
        return Rotation(Use.ROTATED, follower)
    follower = successor(token, found.nonce)
    next_one = session.execute(_BY_HASH, {"hash": hash_of(follower)}).one()
    if next_one.rotated_at is not None or now - found.rotated_at > AGAIN:
        return Rotation(Use.REUSED)
    return Rotation(Use.AGAIN, follower)


def successor(token: bytes, nonce: bytes) -> bytes:
    """Derive the token that follows; the database alone, which has only the nonce, cannot."""
    return hmac.digest(token, nonce, hashlib.sha256)


# Columns, not rows of the session: what another transaction committed must be seen.
_BY_HASH: Final = sa.select(
    RefreshToken.session_id, RefreshToken.nonce, RefreshToken.rotated_at
).where(RefreshToken.token_hash == sa.bindparam("hash"))
_ROTATE: Final = (
    sa.update(RefreshToken)
    .where(RefreshToken.token_hash == sa.bindparam("hash"))
    .values(nonce=sa.bindparam("drawn"), rotated_at=sa.bindparam("now"))
)
SESSION_OF: Final = sa.select(RefreshToken.session_id).where(
    RefreshToken.token_hash == sa.bindparam("hash")
)


def _keep(session: Session, token: bytes, session_id: UUID, now: datetime) -> None:
    row = {"token_hash": hash_of(token), "session_id": session_id, "created_at": now}
    session.execute(sa.insert(RefreshToken), row)
