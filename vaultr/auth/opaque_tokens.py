"""Refresh tokens and emailed tokens: creation, parsing, rotation and hashes."""

import hashlib
import hmac
import secrets
from typing import Final

from vaultr.protocol.encoding import b64, unb64_exactly

TOKEN_BYTES: Final = 32


def new_email_token() -> str:
    """Return a new token for an email; never with a leading dash, which looks like an option."""
    while (token := b64(secrets.token_bytes(TOKEN_BYTES))).startswith("-"):
        pass
    return token


def token_hash(token: str | bytes) -> bytes:
    """Return the SHA-256 that is stored for a token; its 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode() if isinstance(token, str) else token).digest()


def parse_refresh_token(text: str) -> bytes | None:
    """Return the bytes of a refresh token that a client sent, or None if it is malformed."""
    try:
        return unb64_exactly(text, TOKEN_BYTES)
    except ValueError:
        return None


def new_refresh_token() -> bytes:
    """Return the first token of a session."""
    return secrets.token_bytes(TOKEN_BYTES)


def new_nonce() -> bytes:
    """Return a nonce for the rotation of a token."""
    return secrets.token_bytes(TOKEN_BYTES)


def successor(token: bytes, nonce: bytes) -> bytes:
    """Derive the next token; this needs the token itself, besides the stored nonce."""
    return hmac.digest(token, nonce, hashlib.sha256)
