"""The file of a canary: how to log in to its account, and its markers. Mode 0600."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from vaultr.client.errors import VaultrError
from vaultr.client.storage.secret_files import save
from vaultr.protocol.canary import FORMAT, Marker, read_markers, to_json

# The stages of a canary; its account exists from the second stage on.
SIGNED_UP: Final = "signed-up"
CONFIRMED: Final = "confirmed"
PLANTED: Final = "planted"
REMOVED: Final = "removed"
_STAGES: Final = (SIGNED_UP, CONFIRMED, PLANTED, REMOVED)
_MOST_BYTES: Final = 1024 * 1024
_TEXTS: Final = ("url", "email", "password", "secret_key")


class NoCanary(VaultrError):
    """The file was not written by `vaultr canary plant`."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A throw-away account and what was planted in it.

    :ivar stage: its stage.
    :ivar machine_token: None before a machine is added, and if the server does not support
        machines.
    """

    stage: str
    url: str
    email: str
    password: str = field(repr=False)
    secret_key: str = field(repr=False)
    markers: tuple[Marker, ...] = field(default=(), repr=False)
    machine_token: str | None = field(default=None, repr=False)

    def at(self, stage: str, **changes: Any) -> Self:
        """Return this canary with another stage."""
        return replace(self, stage=stage, **changes)

    def save(self, path: Path, *, new: bool = False) -> None:
        """Write it to its file.

        :param new: fail if the file exists.
        """
        content = {"format": FORMAT, "stage": self.stage}
        content |= {name: getattr(self, name) for name in _TEXTS}
        document = {
            **content,
            "machine_token": self.machine_token,
            "markers": to_json(self.markers),
        }
        save(path, json.dumps(document, indent=2).encode() + b"\n", force=not new)


def read_canary(path: Path) -> Canary:
    """Read a canary from its file.

    :raises NoCanary: it is not a canary file.
    """
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    try:
        text = data.decode()
        markers = read_markers(text)
        return _canary(json.loads(text), markers)
    except ValueError as error:
        reason = "it is not a text file" if isinstance(error, UnicodeDecodeError) else error
        raise NoCanary(f"{path} cannot be used: {reason}.") from None


def _canary(content: dict[str, Any], markers: list[Marker]) -> Canary:
    texts: dict[str, Any] = {name: content.get(name) for name in _TEXTS}
    stage, token = content.get("stage"), content.get("machine_token")
    if stage not in _STAGES or not all(isinstance(one, str) and one for one in texts.values()):
        raise ValueError("its login data is incomplete")
    if token is not None and not isinstance(token, str):
        raise ValueError("its machine's token is not a string")
    return Canary(stage=stage, markers=tuple(markers), machine_token=token, **texts)
