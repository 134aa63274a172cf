"""Refresh tokens and mailed ones: how they are drawn, read, followed and kept."""

import hashlib
import hmac
import secrets
from typing import Final

from vaultr.protocol.encoding import b64, unb64_exactly

TOKEN_BYTES: Final = 32


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


def new_refresh_token() -> bytes:
    """Draw the first token of a session's chain."""
    return secrets.token_bytes(TOKEN_BYTES)


def new_nonce() -> bytes:
    """Draw what a token is rotated with."""
    return secrets.token_bytes(TOKEN_BYTES)


def successor(token: bytes, nonce: bytes) -> bytes:
    """Derive the token that follows; the database alone, which has only the nonce, cannot."""
    return hmac.digest(token, nonce, hashlib.sha256)
