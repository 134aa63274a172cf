"""Find out where a request comes from: request id, client address, client family."""

import ipaddress
import re
import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from vaultr import request_context
from vaultr.api.trusted_networks import TrustedNetworks
from vaultr.settings.model import Settings

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_TRACE = re.compile(r"00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context

_FAMILIES = (
    ("vaultr/", "vaultr"),
    ("Mozilla/", "browser"),
    ("curl/", "curl"),
    ("python", "python"),
)

# Most browsers also name other browsers. The first match decides.
_BROWSERS = (
    ("Edg/", "edge"),
    ("OPR/", "opera"),
    ("Firefox/", "firefox"),
    ("Chrome/", "chrome"),
    ("Safari/", "safari"),
)


def init_app(app: Flask, settings: Settings) -> None:
    """Store the origin of each request in the request context.

    Forwarded headers count only from the proxies that TRUSTED_PROXIES names.
    """
    app.wsgi_app = _behind_proxies(app.wsgi_app, settings)  # type: ignore[method-assign]  # Flask's documented way
    app.before_request(_store_origin)


def client_finder(settings: Settings) -> Callable[[str, str], str]:
    """Return a function that finds the client address before the request is parsed.

    It takes the address of the connection, and the value of X-Forwarded-For.
    """
    find = _behind_proxies(lambda environ, _start: [environ["REMOTE_ADDR"]], settings)

    def client_of(peer: str, forwarded: str) -> str:
        environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
        client: str = find(environ, None)[0]
        return client

    return client_of


def _behind_proxies(wsgi_app: Any, settings: Settings) -> Any:
    """Replace the client address and the scheme by the values that trusted proxies forward."""
    networks, hops = settings.trusted_proxies.networks, settings.trusted_proxies.hops
    if networks:
        return TrustedNetworks(wsgi_app, networks)
    if hops:
        return ProxyFix(wsgi_app, x_for=hops, x_proto=hops, x_host=0, x_prefix=0)
    return wsgi_app


def _store_origin() -> None:
    sent = request.environ
    sent_id = sent.get("HTTP_X_REQUEST_ID", "")
    request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else secrets.token_hex(12)
    address, network = address_and_network(sent.get("REMOTE_ADDR"))
    agent = sent.get("HTTP_USER_AGENT", "")
    trace = _TRACE.fullmatch(sent.get("HTTP_TRACEPARENT", ""))
    request_context.set_actor(None)
    request_context.set_origin(
        request_context.Origin(
            request_id,
            address,
            network,
            _family(agent),
            trace[1] if trace else None,
            sent.get("REMOTE_ADDR", "-"),
            agent,
        )
    )


@lru_cache(maxsize=1024)
def _family(agent: str) -> str:
    """Return a word for the client program: enough to notice another one, not to track a user."""
    family = next((name for prefix, name in _FAMILIES if agent.startswith(prefix)), "other")
    if family == "browser":
        return next((name for mark, name in _BROWSERS if mark in agent), family)
    return family


@lru_cache(maxsize=4096)
def address_and_network(peer: str | None) -> tuple[str, str]:
    """Return the address for rate limits (IPv6: /64), and the network prefix for storage."""
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
