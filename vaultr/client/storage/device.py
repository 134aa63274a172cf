"""What a device knows of itself and of its account, and the signups that wait to be verified."""

import getpass
import platform
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID, uuid4

from vaultr.client.storage.key_set import KeySet
from vaultr.client.storage.pins import Derivation, Pins
from vaultr.client.storage.profile import Profile
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.encoding import b64
from vaultr.protocol.sizes import DEVICE_NAME_CHARACTERS

# As many as the server keeps for one address.
_WAITING_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """A signup that this device sent: its first login pins from here, not from the server."""

    email: str
    pins: Pins

    def to_json(self) -> Json:
        """Write it for the device's file."""
        return {"email": self.email, "pins": self.pins.to_json()}


@dataclass(frozen=True, slots=True)
class Device:
    """This device: who it is, and which account on which server it belongs to.

    :ivar pins: None until the first login.
    """

    id: UUID
    name: str
    email: str | None = None
    pins: Pins | None = None
    waiting: tuple[Waiting, ...] = ()

    @classmethod
    def new(cls) -> "Device":
        """Return a device with a new id, named after the host and the user."""
        return cls(id=uuid4(), name=device_name(_default_name()))

    @property
    def origin(self) -> str | None:
        """The server that this device belongs to, if it is known already."""
        if self.pins is not None:
            return self.pins.origin
        return self.waiting[-1].pins.origin if self.waiting else None

    def waiting_for(self, email: str) -> tuple[Waiting, ...]:
        """Give the signups with this address that were sent from here."""
        address = _normalised(email)
        return tuple(each for each in self.waiting if _normalised(each.email) == address)

    def with_waiting(self, waiting: Waiting) -> "Device":
        """Keep one more signup, and of all of them the latest few."""
        return replace(self, waiting=(*self.waiting, waiting)[-_WAITING_MOST:])

    def without_waiting(self, account_id: UUID, before: tuple[Waiting, ...]) -> "Device":
        """Take a signup back, and keep again which of those ``before`` it had pushed out."""
        if self.pins is not None:  # somebody signed in: none of them waits any more
            return self
        gone = [each for each in before if each not in self.waiting]
        rest = [each for each in self.waiting if each.pins.account_id != account_id]
        return replace(self, waiting=(*gone, *rest)[-_WAITING_MOST:])

    def to_json(self) -> Json:
        """Write it with plain types."""
        return {
            "id": str(self.id),
            "name": self.name,
            "email": self.email,
            "pins": None if self.pins is None else self.pins.to_json(),
            "waiting": [each.to_json() for each in self.waiting],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Device":
        """Read what :meth:`to_json` wrote."""
        return cls(
            id=UUID(value["id"]),
            name=value["name"],
            email=value["email"],
            pins=None if value["pins"] is None else Pins.from_json(value["pins"]),
            waiting=tuple(
                Waiting(each["email"], Pins.from_json(each["pins"])) for each in value["waiting"]
            ),
        )


def _normalised(email: str) -> str:
    return unicodedata.normalize("NFKC", email).strip().lower()


def _default_name() -> str:
    """Return a name that distinguishes users of one host, such as ``laptop (ann)``."""
    host = platform.node().partition(".")[0] or "device"
    try:
        return f"{host} ({getpass.getuser()})"
    except (OSError, KeyError, ImportError):  # neither a variable nor the system names the user
        return host


def device_name(text: str) -> str:
    """Make a name that the server takes: 1 to 64 printable characters."""
    shown = "".join(letter for letter in text if letter.isprintable()).strip()
    return shown[:DEVICE_NAME_CHARACTERS] or "device"


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """The account as this device last saw it, enough to unlock without the server.

    :ivar heads: the ``vaults`` of the last profile. The server knows them, so they lie open here,
        and hold also when another account key has sealed the profile since.
    :ivar profile_written_at: when this device last wrote the profile, in seconds of its clock.
    """

    derivation: Derivation
    key_set: KeySet = field(repr=False)
    heads: Json = field(default_factory=dict)
    profile_written_at: float = 0.0

    def to_json(self) -> Json:
        """Write it with plain types."""
        return {
            "account_id": str(self.derivation.account_id),
            "kdf": self.derivation.kdf.to_json(),
            "salt": b64(self.derivation.salt),
            "key_set": self.key_set.to_json(),
            "heads": self.heads,
            "profile_written_at": self.profile_written_at,
        }

    @property
    def profile(self) -> Profile:
        """The last profile, as far as its successor is judged by it."""
        kept = self.key_set.profile
        return Profile(kept.revision, {"vaults": self.heads}, kept.sealed)

    @classmethod
    def read(cls, fields: Fields, derivation: Derivation) -> "KnownAccount":
        """Read the rest of what :meth:`to_json` wrote."""
        return cls(
            derivation=derivation,
            key_set=KeySet.read(fields.within("key_set")),
            heads=fields.within("heads").raw(),
            profile_written_at=float(fields.raw()["profile_written_at"]),
        )
