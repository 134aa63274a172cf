"""Access tokens: short-lived JWTs, signed by the first JWT key and checked claim by claim.

Flask-JWT-Extended checks them. PyJWT signs them directly: Flask-JWT-Extended's overhead for each
token takes longer than signing.
"""

import hashlib
import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID, uuid4

from flask import Flask
from flask_jwt_extended import decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import InvalidTokenError, PyJWK, encode

from vaultr import clock
from vaultr.app_state import AppSlot
from vaultr.extensions import jwt
from vaultr.protocol.encoding import b64
from vaultr.security import keyring
from vaultr.settings.model import Settings, current_settings
from vaultr.wire.field_types import is_id
from vaultr.wire.strict_json import MAX_INTEGER

ALGORITHM = "HS256"
KIND = "access"
_AUDIENCE = "vaultr-api"
_LEEWAY_SECONDS = 30
_MOST_BYTES = 2048
MOST_SECONDS = 600  # maximum of exp - iat, regardless of settings
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_CLAIMS = frozenset({"iss", "aud", "sub", "sid", "typ", "epoch", "iat", "exp", "jti"})


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid access token. Only the database knows whether its session is alive."""

    account_id: UUID
    session_id: UUID
    epoch: int
    expires_at: int


class _Cache:
    """A limited number of checked tokens, by SHA-256."""

    _MOST = 20_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: OrderedDict[bytes, Claims] = OrderedDict()

    def get(self, name: bytes) -> Claims | None:
        return self._claims.get(name)

    def put(self, name: bytes, claims: Claims) -> None:
        with self._lock:
            self._claims[name] = claims
            if len(self._claims) > self._MOST:
                self._claims.popitem(last=False)


_CACHE: Final = AppSlot[_Cache]("security.token_cache")


def init_app(app: Flask, settings: Settings) -> None:
    """Configure Flask-JWT-Extended for these tokens."""
    app.config.update(
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_TOKEN_LOCATION=["headers"],
        JWT_DECODE_ISSUER=settings.base_url,
        JWT_DECODE_AUDIENCE=_AUDIENCE,
        JWT_DECODE_LEEWAY=_LEEWAY_SECONDS,
        # Flask-JWT-Extended would fall back to SECRET_KEY, which does not exist.
        JWT_SECRET_KEY=None,
    )
    jwt.init_app(app)
    _CACHE.set(app, _Cache())


@jwt.decode_key_loader
def _verifying_key(headers: dict[str, Any], _claims: dict[str, Any]) -> bytes:
    kid = headers.get("kid")
    key = keyring.current().jwt.find(kid) if isinstance(kid, str) else None
    if key is None:
        raise InvalidTokenError("unknown key id")
    return key


def key_id() -> str:
    """Return the id of the signing key.

    Sessions store it, so that operators know when the key can be removed.
    """
    return keyring.current().jwt.current_id


def sign(account_id: UUID, session_id: UUID, epoch: int) -> str:
    """Sign an access token for an authenticated session."""
    settings = current_settings()
    ring, now = keyring.current().jwt, int(clock.now().timestamp())
    claims = {
        "iss": settings.base_url,
        "aud": _AUDIENCE,
        "sub": str(account_id),
        "sid": str(session_id),
        "typ": KIND,
        "epoch": epoch,
        "iat": now,
        "exp": now + settings.access_token_seconds,
        "jti": str(uuid4()),
    }
    return encode(claims, _signing_key(ring.current), ALGORITHM, headers={"kid": ring.current_id})


@lru_cache(maxsize=4)
def _signing_key(key: bytes) -> PyJWK:
    """Return the key as PyJWT's type; cached, because PyJWT would convert it for each token."""
    return PyJWK.from_dict({"kty": "oct", "k": b64(key), "alg": ALGORITHM})


def read(token: str) -> Claims | None:
    """Return the claims of a valid, unexpired access token, or None.

    Each process verifies a signature once. It caches the claims under the token's hash, and checks
    only their expiry on every request.
    """
    if len(token) > _MOST_BYTES or token.count(".") != 2:
        return None
    cache = _CACHE.get()
    name = hashlib.sha256(token.encode("utf-8", "replace")).digest()
    claims = cache.get(name)
    if claims is None:
        claims = _decoded(token)
        if claims is None:
            return None
        cache.put(name, claims)
    if claims.expires_at <= time.time():  # no leeway: a token is valid for at most 10 minutes
        return None
    return claims


def _decoded(token: str) -> Claims | None:
    if not _FORM.fullmatch(token):  # the base64 decoder below is lenient
        return None
    try:
        payload = decode_token(token)
    except (InvalidTokenError, JWTExtendedException, ValueError, TypeError, KeyError):
        return None
    except (RecursionError, OverflowError):  # "[[[[…" as a header, 1e999 as a time
        return None
    # The extension adds its own claims (type, fresh), accepts tokens without exp, and so on.
    if not payload.keys() >= _CLAIMS or payload["typ"] != KIND or payload["aud"] != _AUDIENCE:
        return None
    texts = [payload[name] for name in ("sub", "sid", "jti")]
    numbers = [payload[name] for name in ("epoch", "iat", "exp")]
    if any(type(text) is not str or not is_id(text) for text in texts):
        return None
    if any(type(number) is not int or not 0 <= number <= MAX_INTEGER for number in numbers):
        return None
    if payload["exp"] - payload["iat"] > MOST_SECONDS:
        return None
    return Claims(UUID(texts[0]), UUID(texts[1]), payload["epoch"], payload["exp"])
