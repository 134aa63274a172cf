"""The server's origin, in the one form that pins compare."""

import ipaddress
import re
from urllib.parse import urlsplit

from vaultr.client.errors import UsageError

_PORTS = {"https": 443, "http": 80}
# A name or an IPv4 address, or an IPv6 address in brackets, then an optional port.
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^][@:]+)(:[0-9]*)?")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def origin_of(url: str) -> str:
    """Return ``url`` as ``scheme://host`` or ``scheme://host:port``, in lower case.

    :raises UsageError: it has a path, a user, a query or another scheme than https. Plain http is
        allowed for this machine only, and no option changes that.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except (ValueError, UnicodeError):
        raise UsageError("The server's URL is invalid: it has the form https://host.") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host:
        raise UsageError("The server's URL must begin with https:// and have a host name.")
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if not is_bare or not _HOST_AND_PORT.fullmatch(parts.netloc):
        raise UsageError("The server's URL may have only a scheme, a host and a port.")
    if not _HOST_NAME.fullmatch(host) and ":" not in host:
        raise UsageError("The server's URL has an invalid host name.")
    if scheme == "http" and not is_loopback(host):
        raise UsageError("Plain http is allowed only for a server on this machine. Use https.")
    written = f"[{host}]" if ":" in host else host
    return f"{scheme}://{written}" + ("" if port in (None, _PORTS[scheme]) else f":{port}")


def is_loopback(host: str) -> bool:
    """Check whether ``host`` is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
