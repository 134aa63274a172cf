"""Where the server is: an origin, in the one form that pins hold."""

import ipaddress
from urllib.parse import urlsplit

from vaultr.client.errors import UsageError

_PORTS = {"https": 443, "http": 80}


def origin_of(url: str) -> str:
    """Read ``url`` as an origin: ``scheme://host`` or ``scheme://host:port``, in lower case.

    :raises UsageError: it has a path, a user, a query, another scheme than https, or is plain http
        to anything but this machine: there is no switch for that.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        raise UsageError("the address cannot be read; it looks like https://host") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host:
        raise UsageError("the server's address must begin with https:// and name a host")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise UsageError("the server's address is scheme, host and port, and nothing else")
    if scheme == "http" and not is_loopback(host):
        raise UsageError("plain http is for this machine only; use https")
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + ("" if port in (None, _PORTS[scheme]) else f":{port}")


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
