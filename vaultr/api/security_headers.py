"""What each request meets first and each answer carries: host, scheme, address, headers."""

import ipaddress
import re
import secrets
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from flask import Flask, Response, current_app, request
from werkzeug.middleware.proxy_fix import ProxyFix

from vaultr import request_context
from vaultr.errors import BadRequest, Forbidden
from vaultr.extensions import talisman
from vaultr.settings.model import Settings
from vaultr.settings.types import loopback

HSTS_SECONDS = 31_536_000
HSTS = f"max-age={HSTS_SECONDS}; includeSubDomains"
PROBES = frozenset({"/api/health", "/api/ready"})
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'self'; form-action 'self'; object-src 'none'"
)
API_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": API_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), camera=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Those of them that are not the same on every answer.
SOME_DIFFER = frozenset({"Cache-Control", "Content-Security-Policy", "Referrer-Policy"})

# What a page of another origin may send and read, where CORS_ORIGINS names that origin.
CORS_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, "
    "If-None-Match, X-Request-Id",
    "Access-Control-Expose-Headers": "ETag, Idempotency-Replayed, RateLimit-Limit, "
    "RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-Id, X-Vaultr-Checkpoint",
    "Access-Control-Max-Age": "600",
}

_HOSTS = "vaultr.hosts"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACE = re.compile(r"00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context
_FAMILIES = (
    ("vaultr/", "vaultr"),
    ("Mozilla/", "browser"),
    ("curl/", "curl"),
    ("python", "python"),
)
# Most browsers name some others too; the first of these that one names is what it is.
_BROWSERS = (
    ("Edg/", "edge"),
    ("OPR/", "opera"),
    ("Firefox/", "firefox"),
    ("Chrome/", "chrome"),
    ("Safari/", "safari"),
)


class HostUnknown(BadRequest):
    """This server does not answer under that host name."""

    slug = "host-unknown"


class HttpsRequired(Forbidden):
    """Use HTTPS. What was just sent went over the network in clear: consider it known."""

    slug = "https-required"


def init_app(app: Flask, settings: Settings) -> None:
    """Check host and scheme of each request, and put the headers of the contract on each answer."""
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # Flask's documented way
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_prefix=0
        )
    app.extensions[_HOSTS] = settings.hosts
    app.before_request(_origin)
    app.before_request(_host_and_scheme)
    app.after_request(_finish)
    talisman.init_app(
        app,
        force_https=False,  # it would redirect a secret that has already travelled in clear
        strict_transport_security=True,
        strict_transport_security_max_age=HSTS_SECONDS,
        strict_transport_security_include_subdomains=True,
        frame_options="DENY",
        x_xss_protection=True,
        x_content_type_options=True,
        content_security_policy=API_POLICY,
        referrer_policy="strict-origin-when-cross-origin",
        permissions_policy={"geolocation": "()", "microphone": "()", "camera": "()"},
        session_cookie_samesite="Strict",
    )
    app.wsgi_app = _Always(app.wsgi_app, _same(app))  # type: ignore[method-assign]  # Flask's documented way


class _Always:
    """The app, whose answers carry the headers that are the same on every one.

    On an answer of Flask's each would be looked through for line breaks, and copied, twice.
    """

    def __init__(self, wsgi_app: Any, headers: list[tuple[str, str]]) -> None:
        self._wsgi_app = wsgi_app
        self._headers = headers

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, headers + self._headers, *rest)

        return self._wsgi_app(environ, start)  # type: ignore[no-any-return]  # WSGI is untyped


def _same(app: Flask) -> list[tuple[str, str]]:
    """Give the headers that are the same on every answer, as Talisman writes them.

    It would write them anew for each answer, 28 µs of the 133 that one without any I/O took, and
    believe X-Forwarded-Proto from anybody: HSTS is up to TRUSTED_PROXIES alone.
    """
    app.before_request_funcs[None].remove(talisman._force_https)
    app.before_request_funcs[None].remove(talisman._make_nonce)
    app.after_request_funcs[None].remove(talisman._set_response_headers)
    answer = Response()
    answer.headers.clear()
    with app.test_request_context():
        talisman._set_response_headers(answer)
    for name in ("Strict-Transport-Security", *SOME_DIFFER):
        answer.headers.pop(name, None)
    for name in ("Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy"):
        answer.headers[name] = API_HEADERS[name]
    return list(answer.headers)


def _origin() -> None:
    sent = request.environ
    given = sent.get("HTTP_X_REQUEST_ID", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(12)
    address, network = places(sent.get("REMOTE_ADDR"))
    family = _family(sent.get("HTTP_USER_AGENT", ""))
    trace = _TRACE.fullmatch(sent.get("HTTP_TRACEPARENT", ""))
    request_context.set_actor(None)
    request_context.set_origin(
        request_context.Origin(request_id, address, network, family, trace[1] if trace else None)
    )


@lru_cache(maxsize=1024)
def _family(agent: str) -> str:
    """Give a word for a client: enough to notice another one, too little to follow anybody."""
    family = next((name for prefix, name in _FAMILIES if agent.startswith(prefix)), "other")
    if family == "browser":
        return next((name for mark, name in _BROWSERS if mark in agent), family)
    return family


@lru_cache(maxsize=4096)
def places(peer: str | None) -> tuple[str, str]:
    """Give the key by which an address is counted (IPv6: /64) and the prefix that may be kept."""
    try:
        ip = ipaddress.ip_address(peer or "")
    except ValueError:
        return "unknown", "unknown"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip), str(ipaddress.ip_network((ip, 24), strict=False))
    counted = ipaddress.ip_network((ip, 64), strict=False)
    return str(counted), str(ipaddress.ip_network((ip, 48), strict=False))


def _host_and_scheme() -> None:
    if request.path in PROBES:
        return
    settings: Settings = current_app.config["SETTINGS"]
    given = _HOST.fullmatch(request.environ.get("HTTP_HOST", ""))
    host = given[1].strip("[]").lower() if given else ""
    if host not in current_app.extensions[_HOSTS] and (settings.production or not loopback(host)):
        raise HostUnknown
    if settings.production and not request.is_secure:
        raise HttpsRequired


def _finish(response: Response) -> Response:
    headers = response.headers
    page = response.mimetype == "text/html"
    headers.setdefault("Cache-Control", API_HEADERS["Cache-Control"])
    headers["Content-Security-Policy"] = PAGE_POLICY if page else API_POLICY
    headers["Referrer-Policy"] = "no-referrer" if page else API_HEADERS["Referrer-Policy"]
    headers["X-Request-Id"] = request_context.current_origin().request_id
    if request.is_secure:
        headers["Strict-Transport-Security"] = HSTS
    _allow_origin(response)
    return response


def _allow_origin(response: Response) -> None:
    """Let pages of the origins that are named use the API; with a bearer, never with cookies."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.cors_origins:
        return
    response.vary.add("Origin")
    if request.headers.get("Origin") in settings.cors_origins:
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers.update(CORS_HEADERS)
