"""Where the server is: an origin, in the one form that pins hold."""

import ipaddress
import re
from urllib.parse import urlsplit

from vaultr.client.errors import UsageError

_PORTS = {"https": 443, "http": 80}
# A name or an IPv4 address, or an IPv6 address in brackets, then perhaps a port.
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^][@:]+)(:[0-9]*)?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


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
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if not is_bare or not _PLACE.fullmatch(parts.netloc):
        raise UsageError("the server's address is scheme, host and port, and nothing else")
    if not _NAME.fullmatch(host) and ":" not in host:
        raise UsageError("the server's address names a host that no machine can have")
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
