"""The storage of backups, and their names. A name appears once its file is complete."""

import contextlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from vaultr.backup.errors import InvalidBackup
from vaultr.backup.sealing import ReadableFile, WritableFile

VERIFIED: Final = ".verified"
_MOMENT: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"vaultr-([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{6}\.tar(\.age)?")


@dataclass(frozen=True, slots=True)
class Stored:
    """A backup at a location."""

    name: str
    size: int
    verified: bool

    @property
    def created_at(self) -> datetime:
        """The time in the name, to the second."""
        return created_at(self.name)


class Location(Protocol):
    """A place that stores backups."""

    def list(self) -> list[Stored]:
        """Return all complete backups, oldest first."""

    def write(self, name: str, produce: Callable[[WritableFile], None]) -> int:
        """Store what ``produce`` writes, as a whole or not at all; return its size."""

    def open(self, name: str) -> contextlib.AbstractContextManager[ReadableFile]:
        """Open a backup to read it."""

    def mark_verified(self, name: str, facts: Mapping[str, Any]) -> None:
        """Record beside a backup that it was verified."""

    def remove(self, name: str) -> bool:
        """Remove a backup; return False if it is still locked."""

    def remove_leftovers(self) -> None:
        """Remove leftovers of interrupted commands."""


def new_name(now: datetime, *, sealed: bool) -> str:
    """Return a name for a new backup; later backups sort after earlier ones."""
    return f"vaultr-{now:{_MOMENT}}-{secrets.token_hex(3)}.tar{'.age' if sealed else ''}"


def is_name(name: str) -> bool:
    """Check whether a file name is the name of a backup."""
    return bool(_NAME.fullmatch(name))


def created_at(name: str) -> datetime:
    """Return the time in a backup's name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidBackup(f"{name} is not the name of a backup. `flask backup list` shows all.")
    return datetime.strptime(match[1], _MOMENT).replace(tzinfo=UTC)
