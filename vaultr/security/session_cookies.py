"""Browser sessions: tokens in cookies that no script can read, and protection against CSRF.

A browser sends cookies with requests from any page. So a request with cookies must come from a page
of this server, as the browser states in Origin and Sec-Fetch-Site. A request that can change
something must also send the session's CSRF token in a header; only a page of this server can read
that token. The cookies are sent only to this host, over HTTPS, and never with a request from
another site (``__Host-``, Secure, SameSite=Strict).
"""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from flask import Flask, Response, g, request

from vaultr.api.contract import ACCESS, CSRF, HEADER, REFRESH, CrossSite
from vaultr.database.session import fact
from vaultr.protocol.encoding import b64, lp
from vaultr.settings.model import current_settings

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FACT: Final = "csrf-key"
_ATTRIBUTES: Final[dict[str, Any]] = {"secure": True, "samesite": "Strict", "path": "/"}


def init_app(app: Flask) -> None:
    """Add or delete the cookies of a response as its view requested."""
    app.after_request(_set)


def sent() -> bool:
    """Return whether the request has a credential in a cookie."""
    if not _has_cookies():
        return False
    return ACCESS in request.cookies or REFRESH in request.cookies


def access_token() -> str | None:
    """Return the access token from the request's cookie, or None."""
    return request.cookies.get(ACCESS) if _has_cookies() else None


def refresh_token() -> str | None:
    """Return the refresh token from the request's cookie, or None."""
    return request.cookies.get(REFRESH) if _has_cookies() else None


def _has_cookies() -> bool:
    """Return whether the request has any cookie. Parsing them takes as long as reading a token."""
    return "HTTP_COOKIE" in request.environ


def check_origin() -> None:
    """Reject a request that was not sent by a page of this server.

    :raises CrossSite: another site's page sent it, or the browser does not say which page did.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise CrossSite
    if request.method not in _SAFE and request.headers.get("Origin") not in _own_origins():
        raise CrossSite


def check(session_id: UUID) -> None:
    """Reject a request with cookies unless a page of this server sent it.

    :raises CrossSite: another page sent it; or it can change something, and its header has no token
        or the token of another session.
    """
    check_origin()
    if request.method in _SAFE:
        return
    sent_token = request.headers.get(HEADER, "").encode("utf-8", "replace")
    if not hmac.compare_digest(sent_token, csrf_token(session_id).encode()):
        raise CrossSite


def csrf_token(session_id: UUID) -> str:
    """Return the CSRF token of a session, derived from a key that the database stores permanently.

    The token is not a credential, and stays valid when the server's keys are rotated.
    """
    key = fact(_FACT, lambda: secrets.token_bytes(32))
    return b64(hmac.digest(key, lp("vaultr/csrf", session_id), hashlib.sha256))


def set_cookies(session_id: UUID, access: str, refresh: str, *, lives: timedelta) -> None:
    """Set a session's cookies on the response to this request.

    :param lives: lifetime of an unused refresh token.
    """
    g.cookies_to_set = {
        ACCESS: (access, current_settings().access_token_seconds, True),
        REFRESH: (refresh, int(lives.total_seconds()), True),
        CSRF: (csrf_token(session_id), int(lives.total_seconds()), False),
    }


def delete_cookies() -> None:
    """Delete all cookies on the response to this request, if the request had any."""
    if sent() or CSRF in request.cookies:
        g.cookies_to_set = {name: ("", 0, name != CSRF) for name in (ACCESS, REFRESH, CSRF)}


def _own_origins() -> tuple[str, str]:
    """Return the origins of this server's pages: the request's own origin, and BASE_URL's."""
    base = urlsplit(current_settings().base_url)
    return f"{request.scheme}://{request.host}", f"{base.scheme}://{base.netloc}"


def _set(response: Response) -> Response:
    for name, (value, seconds, hidden) in g.get("cookies_to_set", {}).items():
        response.set_cookie(name, value, max_age=seconds, httponly=hidden, **_ATTRIBUTES)
    return response
