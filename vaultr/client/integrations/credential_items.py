"""Find, store and trash the logins for credential helpers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from vaultr.client.errors import UsageError

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item, Vaultr

_PORTS: Final = {"http": 80, "https": 443, "ssh": 22, "smtp": 25, "imap": 143}
# Characters that would start another line, or another value, in a helper's output.
_FORBIDDEN: Final = frozenset("\n\r\0")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a credential is used: scheme, host with port, and path."""

    scheme: str
    host: str
    path: str = ""

    @classmethod
    def of(cls, url: str) -> "Place | None":
        """Return the place of a URL; None if the URL has no host."""
        try:
            parts = urlsplit(url if "://" in url else f"https://{url}")
            port = parts.port
        except ValueError:
            return None
        if not parts.hostname:
            return None
        standard = port is None or _PORTS.get(parts.scheme) == port
        host = parts.hostname if standard else f"{parts.hostname}:{port}"
        return cls(parts.scheme.lower(), host, parts.path.strip("/"))

    @property
    def url(self) -> str:
        """Return the address."""
        return f"{self.scheme}://{self.host}" + (f"/{self.path}" if self.path else "")

    def is_within(self, other: "Place") -> bool:
        """Return whether this place equals or is below the other one."""
        if (self.scheme, self.host) != (other.scheme, other.host):
            return False
        return not other.path or f"{self.path}/".startswith(f"{other.path}/")


def check_value(name: str, value: str) -> str:
    """Return a value that fits on one line.

    :raises UsageError: it does not; the message contains its name, never the value.
    """
    if not _FORBIDDEN.isdisjoint(value):
        raise UsageError(f"The {name} has a line break or NUL, which no credential may have.")
    return value


def find_logins(
    vaultr: "Vaultr", place: Place, username: str | None, *, offline: bool = False
) -> "list[Item]":
    """Return the logins for a place without their details, longest path first."""
    found = []
    for item in vaultr.each_item(type="login", offline=offline):
        if username is not None and item.overview.get("username") != username:
            continue
        paths = [len(known.path) for known in _places(item) if place.is_within(known)]
        if paths:
            found.append((-max(paths), item.overview.get("favourite") is not True, item))
    return [item for *_, item in sorted(found, key=lambda each: (*each[:2], str(each[2].id)))]


def _places(item: "Item") -> list[Place]:
    urls = item.overview.get("urls")
    listed: Sequence[object] = urls if isinstance(urls, list) else []
    places = (Place.of(url) for url in listed if isinstance(url, str))
    return [place for place in places if place is not None]


def store_login(vaultr: "Vaultr", place: Place, username: str, password: str, tag: str) -> None:
    """Store a credential in the login that has it, or else in a new one with ``tag``."""
    for found in find_logins(vaultr, place, username):
        item = vaultr.item(str(found.id), vault=str(found.vault_id), offline=True)
        if (item.detail or {}).get("password") != password:
            vaultr.edit(
                str(item.id),
                detail={"password": password},
                revision=item.revision,
                vault=str(item.vault_id),
            )
        return
    overview = {"title": place.host, "username": username, "urls": [place.url], "tags": [tag]}
    vaultr.add("login", overview, {"password": password})


def erase_login(
    vaultr: "Vaultr", place: Place, username: str | None, password: str | None, tag: str
) -> "list[Item]":
    """Trash the logins that a helper has stored for a place; return the logins that stay.

    A login created by a person stays: it must not be lost because a server rejects the password
    once.
    """
    kept = []
    for found in find_logins(vaultr, place, username):
        item = vaultr.item(str(found.id), vault=str(found.vault_id), offline=True)
        if password is not None and (item.detail or {}).get("password") != password:
            continue
        if tag in (item.overview.get("tags") or []):
            vaultr.trash(str(item.id), vault=str(item.vault_id))
        else:
            kept.append(item)
    return kept
