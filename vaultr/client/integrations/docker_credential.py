"""Implement the credential helper protocol of Docker and Podman with the logins in the vault."""

import json
from typing import TYPE_CHECKING, Final

from vaultr.client.errors import UsageError
from vaultr.client.integrations.credential_items import (
    Place,
    check_value,
    erase_login,
    find_logins,
    store_login,
)

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Vaultr

TAG: Final = "docker"
# Docker and Podman compare this text. Source: docker-credential-helpers, credentials/error.go.
NOT_FOUND: Final = "credentials not found in native keychain"
REQUEST_BYTES: Final = 64 * 1024


class CredentialsNotFound(Exception):
    """No login for this registry exists."""


def _place(server: str) -> Place:
    place = Place.of(check_value("server", server.strip()))
    if place is None:
        raise UsageError("The request names no registry.")
    return place


def get(vaultr: "Vaultr", server: str) -> str:
    """Return the credential of a registry as JSON.

    :raises CredentialsNotFound: no login for it exists.
    """
    place = _place(server)
    for found in find_logins(vaultr, place, None):
        item = vaultr.item(str(found.id), vault=str(found.vault_id), offline=True)
        username, password = item.overview.get("username"), (item.detail or {}).get("password")
        if isinstance(username, str) and isinstance(password, str) and password:
            answer = {"ServerURL": server.strip(), "Username": username, "Secret": password}
            return json.dumps(answer, ensure_ascii=False)
    raise CredentialsNotFound


def store(vaultr: "Vaultr", request: str) -> None:
    """Store the credential that ``docker login`` sends."""
    try:
        value = json.loads(request)
        server, username, secret = (value[name] for name in ("ServerURL", "Username", "Secret"))
        if not all(isinstance(each, str) for each in (server, username, secret)):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError("The request is not JSON with ServerURL, Username and Secret.") from None
    store_login(vaultr, _place(server), check_value("user name", username), secret, TAG)


def erase(vaultr: "Vaultr", server: str) -> None:
    """Trash the credential of a registry, if this helper stored it.

    :raises CredentialsNotFound: no login for it exists.
    """
    place = _place(server)
    if not find_logins(vaultr, place, None):
        raise CredentialsNotFound
    erase_login(vaultr, place, None, None, TAG)


def listed(vaultr: "Vaultr") -> str:
    """Return the registries for which this helper has stored credentials, as JSON."""
    found: dict[str, str] = {}
    for item in vaultr.each_item(type="login"):
        if TAG in (item.overview.get("tags") or []):
            for url in item.overview.get("urls") or []:
                found[str(url)] = str(item.overview.get("username", ""))
    return json.dumps(found, ensure_ascii=False)
