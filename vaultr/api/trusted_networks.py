"""Find the client behind trusted proxies, if TRUSTED_PROXIES lists networks, not a number."""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from vaultr.settings.types import Address, Network

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PORT: Final = re.compile(r"(?P<v4>[0-9.]+):[0-9]+|\[(?P<v6>[0-9A-Fa-f:.]+)\](:[0-9]+)?")


class TrustedNetworks:
    """WSGI middleware that trusts forwarded headers only from addresses in listed networks.

    Each proxy appends the address that it saw to X-Forwarded-For, so this reads the header from its
    end. The first address outside of the networks is the client's; the client can forge only the
    values before its own. The scheme is the value of X-Forwarded-Proto at the same position.
    """

    def __init__(self, app: "WSGIApplication", networks: tuple[Network, ...]) -> None:
        self._app = app
        self._networks = networks

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Replace the client address and the scheme if the peer is a trusted proxy."""
        peer = _address(environ.get("REMOTE_ADDR", ""))
        if peer is not None and self._is_trusted(peer):
            client, proxies = peer, 1
            for text in reversed(_values(environ.get("HTTP_X_FORWARDED_FOR", ""))):
                address = _address(text)
                if address is None:
                    break
                client = address
                if not self._is_trusted(address):
                    break
                proxies += 1
            environ["REMOTE_ADDR"] = str(client)
            schemes = _values(environ.get("HTTP_X_FORWARDED_PROTO", ""))
            if schemes:
                environ["wsgi.url_scheme"] = schemes[-min(proxies, len(schemes))]
        return self._app(environ, start_response)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def _values(header: str) -> list[str]:
    return [part.strip() for part in header.split(",") if part.strip()]


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    """Parse an address with an optional port; return None if the text is not an address."""
    with_port = _PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address(with_port["v4"] or with_port["v6"] if with_port else text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
