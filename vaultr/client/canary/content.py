"""What a canary plants: items of every type, with a different marker in every field."""

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vaultr.client.items.schemas import Draft
from vaultr.protocol.canary import Marker

_RANDOM_BYTES: Final = 9
_CARD_DIGITS: Final = 16
_TOTP_BYTES: Final = 20
# Characters that encodings change: quotes, escapes, markup, percent signs, line breaks, non-ASCII
# letters.
_ODD: Final = "\"Grüße\" & <b>\\100%</b> + 'tab'\n\tline two"
_IDENTITY: Final = ("first_name", "last_name", "company", "address1", "city", "passport_number")
_ENVIRONMENT: Final = ("DATABASE_URL", "API_TOKEN")


@dataclass(frozen=True, slots=True)
class Content:
    """What is planted in a canary's vault.

    :ivar vault: the name of the vault, which is also a marker.
    :ivar drafts: one item of each type; a machine writes ``machine``.
    :ivar dotenv: the dotenv file that is imported, and ``title`` its title.
    :ivar markers: all planted values, by where they were planted.
    """

    vault: str = field(repr=False)
    drafts: tuple[Draft, ...] = field(repr=False)
    machine: Draft = field(repr=False)
    dotenv: bytes = field(repr=False)
    title: str = field(repr=False)
    markers: tuple[Marker, ...] = field(repr=False)


class _Marking:
    """Creates markers. They begin alike, so that searching for all of them is fast."""

    def __init__(self) -> None:
        self._tag = f"vk{secrets.token_hex(4)}"
        self.made: list[Marker] = []

    def text(self, name: str, rest: str = "") -> str:
        """Return a new marker that ends with ``rest``."""
        return self.add(name, f"{self._tag}-{secrets.token_urlsafe(_RANDOM_BYTES)}{rest}")

    def add(self, name: str, value: str) -> str:
        """Use a value as a marker, and return it."""
        self.made.append(Marker(name, value))
        return value


def new_content() -> Content:
    """Return new content with random markers."""
    marking = _Marking()
    drafts = tuple(
        Draft(kind, _overview(kind, marking), detail(marking)) for kind, detail in _DETAILS.items()
    )
    machine = Draft(
        "api_key",
        {"title": marking.text("machine-item.title")},
        {"secret": marking.text("machine-item.secret")},
    )
    lines = [f"{name}={marking.text(f'import.{name}')}\n" for name in _ENVIRONMENT]
    return Content(
        vault=marking.text("vault.name"),
        drafts=drafts,
        machine=machine,
        dotenv="".join(lines).encode(),
        title=marking.text("import.title"),
        markers=tuple(marking.made),
    )


def _overview(type: str, marking: _Marking) -> dict[str, Any]:
    overview: dict[str, Any] = {
        "title": marking.text(f"{type}.title"),
        "tags": [marking.text(f"{type}.tag")],
    }
    if type == "login":
        overview["username"] = marking.text("login.username")
        overview["urls"] = [f"https://{marking.text('login.url')}.example.org/"]
        overview["folder"] = marking.text("login.folder")
    return overview


def _login(marking: _Marking) -> dict[str, Any]:
    secret = base64.b32encode(secrets.token_bytes(_TOTP_BYTES)).decode()
    return {
        "password": marking.text("login.password"),
        "totp": marking.add("login.totp", secret),
        "history": [{"password": marking.text("login.old-password")}],
        "notes": marking.text("login.notes"),
        "fields": [
            {
                "name": marking.text("login.field-name"),
                "kind": "hidden",
                "value": marking.text("login.field-value"),
            }
        ],
    }


def _card(marking: _Marking) -> dict[str, Any]:
    number = str(secrets.randbelow(9 * 10 ** (_CARD_DIGITS - 1)) + 10 ** (_CARD_DIGITS - 1))
    return {
        "cardholder": marking.text("card.cardholder"),
        "number": marking.add("card.number", number),
    }


def _identity(marking: _Marking) -> dict[str, Any]:
    return {name: marking.text(f"identity.{name}") for name in _IDENTITY}


def _ssh_key(marking: _Marking) -> dict[str, Any]:
    return {
        "private_key": marking.text("ssh_key.private_key"),
        "passphrase": marking.text("ssh_key.passphrase"),
    }


_DETAILS: Final[Mapping[str, Callable[[_Marking], dict[str, Any]]]] = {
    "login": _login,
    "api_key": lambda marking: {
        "key": marking.text("api_key.key"),
        "secret": marking.text("api_key.secret"),
    },
    "env_set": lambda marking: {"variables": {"CANARY": marking.text("env_set.variable")}},
    "note": lambda marking: {"notes": marking.text("note.notes", _ODD)},
    "card": _card,
    "identity": _identity,
    "ssh_key": _ssh_key,
}
