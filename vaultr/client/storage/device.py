"""This device, its account, and its signups that are not confirmed yet."""

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

# The same number as the server stores for one address.
_WAITING_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """A signup of this device. Its first login uses these pins, not the server's."""

    email: str
    pins: Pins

    def to_json(self) -> Json:
        """Return it with plain types."""
        return {"email": self.email, "pins": self.pins.to_json()}


@dataclass(frozen=True, slots=True)
class Device:
    """This device: its id and name, and the account and server that it belongs to.

    :ivar pins: None until the first login.
    :ivar ca_file: the last CA file used for the server; None for the system's authorities.
    """

    id: UUID
    name: str
    email: str | None = None
    pins: Pins | None = None
    waiting: tuple[Waiting, ...] = ()
    ca_file: str | None = None

    @classmethod
    def new(cls) -> "Device":
        """Return a device with a new id, named after the host and the user."""
        return cls(id=uuid4(), name=device_name(_default_name()))

    @property
    def origin(self) -> str | None:
        """The server that this device belongs to; None if it is not known yet."""
        if self.pins is not None:
            return self.pins.origin
        return self.waiting[-1].pins.origin if self.waiting else None

    def waiting_for(self, email: str) -> tuple[Waiting, ...]:
        """Return this device's signups with this email address."""
        address = _normalised(email)
        return tuple(each for each in self.waiting if _normalised(each.email) == address)

    def with_waiting(self, waiting: Waiting) -> "Device":
        """Add a signup; keep only the latest five."""
        return replace(self, waiting=(*self.waiting, waiting)[-_WAITING_MOST:])

    def without_waiting(self, account_id: UUID, before: tuple[Waiting, ...]) -> "Device":
        """Remove a signup, and restore the signups of ``before`` that it displaced."""
        if self.pins is not None:  # a login has replaced all signups
            return self
        gone = [each for each in before if each not in self.waiting]
        rest = [each for each in self.waiting if each.pins.account_id != account_id]
        return replace(self, waiting=(*gone, *rest)[-_WAITING_MOST:])

    def to_json(self) -> Json:
        """Return it with plain types."""
        return {
            "id": str(self.id),
            "name": self.name,
            "email": self.email,
            "pins": None if self.pins is None else self.pins.to_json(),
            "waiting": [each.to_json() for each in self.waiting],
            "ca_file": self.ca_file,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Device":
        """Read the result of :meth:`to_json`."""
        return cls(
            id=UUID(value["id"]),
            name=value["name"],
            email=value["email"],
            pins=None if value["pins"] is None else Pins.from_json(value["pins"]),
            waiting=tuple(
                Waiting(each["email"], Pins.from_json(each["pins"])) for each in value["waiting"]
            ),
            ca_file=value.get("ca_file"),
        )


def _normalised(email: str) -> str:
    return unicodedata.normalize("NFKC", email).strip().lower()


def _default_name() -> str:
    """Return a name that distinguishes users of one host, such as ``laptop (ann)``."""
    host = platform.node().partition(".")[0] or "device"
    try:
        return f"{host} ({getpass.getuser()})"
    # neither a variable nor the system knows the user's name
    except (OSError, KeyError, ImportError):
        return host


def device_name(text: str) -> str:
    """Convert a name to one that the server accepts: 1 to 64 printable characters."""
    shown = "".join(letter for letter in text if letter.isprintable()).strip()
    return shown[:DEVICE_NAME_CHARACTERS] or "device"


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """The account as this device last saw it, which can be unlocked without the server.

    :ivar heads: the ``vaults`` of the last profile. The server knows them, so they are not sealed,
        and stay readable when the account key is replaced.
    :ivar profile_written_at: when this device last wrote the profile, in seconds of its clock.
    """

    derivation: Derivation
    key_set: KeySet = field(repr=False)
    heads: Json = field(default_factory=dict)
    profile_written_at: float = 0.0

    def to_json(self) -> Json:
        """Return it with plain types."""
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
        """The last profile, with what is needed to check its successor."""
        kept = self.key_set.profile
        return Profile(kept.revision, {"vaults": self.heads}, kept.sealed)

    @classmethod
    def read(cls, fields: Fields, derivation: Derivation) -> "KnownAccount":
        """Read the other members of the result of :meth:`to_json`."""
        return cls(
            derivation=derivation,
            key_set=KeySet.read(fields.within("key_set")),
            heads=fields.within("heads").raw(),
            profile_written_at=float(fields.raw()["profile_written_at"]),
        )
