"""Sessions of browsers: tokens in cookies that no script reads, and proof that we were meant.

A browser sends cookies whoever made it send a request. So a request that is proven by them must
come from a page of this server (the browser says so itself, by Origin and Sec-Fetch-Site), and if
it can change something it repeats in a header what only such a page can read: a token that is
bound to the session. The cookies go nowhere but here, over HTTPS, and with no request of another
site's (``__Host-``, Secure, SameSite=Strict).
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
    """Let answers carry the cookies that a view hands over or takes back."""
    app.after_request(_set)


def sent() -> bool:
    """Check whether the request carries a credential as a cookie."""
    if not _any():
        return False
    return ACCESS in request.cookies or REFRESH in request.cookies


def access_token() -> str | None:
    """Return the access token that came as a cookie."""
    return request.cookies.get(ACCESS) if _any() else None


def refresh_token() -> str | None:
    """Return the refresh token that came as a cookie."""
    return request.cookies.get(REFRESH) if _any() else None


def _any() -> bool:
    """Check whether there are cookies to look through, which takes as long as reading a token."""
    return "HTTP_COOKIE" in request.environ


def check_origin() -> None:
    """Refuse what no page of this server sent.

    :raises CrossSite: the browser says that another site's page did, or does not say who.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise CrossSite
    if request.method not in _SAFE and request.headers.get("Origin") not in _own_origins():
        raise CrossSite


def check(session_id: UUID) -> None:
    """Refuse a request that is proven by cookies unless a page of this server meant it.

    :raises CrossSite: it comes from elsewhere, or could change something and has no, or another
        session's, token in its header.
    """
    check_origin()
    if request.method in _SAFE:
        return
    given = request.headers.get(HEADER, "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, csrf_token(session_id).encode()):
        raise CrossSite


def csrf_token(session_id: UUID) -> str:
    """Return the token of a session, derived from a key that this database keeps for ever.

    It proves nothing by itself; the server's keys may rotate without making it wrong.
    """
    key = fact(_FACT, lambda: secrets.token_bytes(32))
    return b64(hmac.digest(key, lp("vaultr/csrf", session_id), hashlib.sha256))


def hand_over(session_id: UUID, access: str, refresh: str, *, lives: timedelta) -> None:
    """Let the answer to this request set a session's cookies.

    :param lives: how long the refresh token is good, unless it is used.
    """
    g.cookies_to_set = {
        ACCESS: (access, current_settings().access_token_seconds, True),
        REFRESH: (refresh, int(lives.total_seconds()), True),
        CSRF: (csrf_token(session_id), int(lives.total_seconds()), False),
    }


def take_back() -> None:
    """Let the answer to this request remove all cookies, if it came with any."""
    if sent() or CSRF in request.cookies:
        g.cookies_to_set = {name: ("", 0, name != CSRF) for name in (ACCESS, REFRESH, CSRF)}


def _own_origins() -> tuple[str, str]:
    """Return the origins of our pages: as the browser reached us, and as BASE_URL says."""
    base = urlsplit(current_settings().base_url)
    return f"{request.scheme}://{request.host}", f"{base.scheme}://{base.netloc}"


def _set(response: Response) -> Response:
    for name, (value, seconds, hidden) in g.get("cookies_to_set", {}).items():
        response.set_cookie(name, value, max_age=seconds, httponly=hidden, **_ATTRIBUTES)
    return response
