"""Implement git's credential helper protocol with the logins in the vault."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from vaultr.client.errors import UsageError
from vaultr.client.integrations.credential_items import (
    Place,
    check_value,
    erase_login,
    find_logins,
    store_login,
)

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr

TAG: Final = "git"
REQUEST_BYTES: Final = 64 * 1024


def parse_request(text: str) -> dict[str, str]:
    """Read ``key=value`` lines up to an empty line; see git-credential(1).

    :raises UsageError: a line has another form, or a value has a line break or NUL.
    """
    request: dict[str, str] = {}
    for line in text.split("\n"):
        if not line:
            break
        name, equals, value = line.partition("=")
        if not equals:
            raise UsageError("git sent a line that is not key=value.")
        if not name.endswith("[]"):  # lists, such as capability[], which this helper does not use
            request[name] = check_value(name, value)
    if "url" in request:
        request = {**request, **_parts(request.pop("url"))}
    return request


def _parts(url: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise UsageError("git sent a URL that has no valid host.") from None
    found = {
        "protocol": parts.scheme,
        "host": unquote(parts.hostname or "") + port,
        "path": unquote(parts.path.lstrip("/")),
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return {name: check_value(name, value) for name, value in found.items() if value}


def place_of(request: Mapping[str, str]) -> Place:
    """Return the place in a request.

    :raises UsageError: it names no protocol or host.
    """
    protocol, host = request.get("protocol"), request.get("host")
    if not protocol or not host:
        raise UsageError("The request of git has no protocol or no host.")
    place = Place.of(f"{protocol}://{host}/{request.get('path', '')}")
    if place is None:
        raise UsageError("git named a host that is not valid.")
    return place


def get(vaultr: "Vaultr", request: Mapping[str, str], *, offline: bool = False) -> str:
    """Return git's input: user name and password of the best login, or nothing."""
    place, username = place_of(request), request.get("username")
    for found in find_logins(vaultr, place, username, offline=offline):
        item = vaultr.item(str(found.id), vault=str(found.vault_id), offline=True)
        password = (item.detail or {}).get("password")
        name = item.overview.get("username")
        if isinstance(password, str) and password and isinstance(name, str) and name:
            check_value("password", password)
            check_value("user name", name)
            return f"username={name}\npassword={password}\n"
    return ""


def store(vaultr: "Vaultr", request: Mapping[str, str]) -> None:
    """Store a credential that worked."""
    username, password = request.get("username"), request.get("password")
    if username and password:
        store_login(vaultr, place_of(request), username, password, TAG)


def erase(vaultr: "Vaultr", request: Mapping[str, str]) -> "list[Item]":
    """Trash a rejected credential, if this helper stored it; return the logins that stay."""
    username, password = request.get("username"), request.get("password")
    return erase_login(vaultr, place_of(request), username, password, TAG)
