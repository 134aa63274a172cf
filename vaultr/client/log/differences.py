"""List how two sets of items of one vault differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from vaultr.client.log.entries import ItemState, Waypoint
from vaultr.client.log.state import Held, Overview

_STATES: Final[Mapping[ItemState, str]] = {"active": "active", "trash": "in the trash"}


class VaultSet(Protocol):
    """A set of items with its waypoint: a verified state, or what a server shows."""

    @property
    def items(self) -> Mapping[UUID, Held]:
        """The items by id."""
        ...

    @property
    def overview(self) -> Overview:
        """The vault's own overview."""
        ...

    @property
    def waypoint(self) -> Waypoint:
        """The position of the set in the vault's history."""
        ...


@dataclass(frozen=True, slots=True)
class VaultDifference:
    """One difference. Without an item id it is about the vault itself."""

    item_id: UUID | None
    how: str

    def __str__(self) -> str:
        return f"{self.item_id or 'the vault'}: {self.how}"


def explain(held: VaultSet, shown: VaultSet) -> list[VaultDifference]:
    """List how the server's set differs from the held one, starting with the vault itself."""
    differences = [VaultDifference(None, how) for how in _of_vault(held, shown)]
    for item_id in sorted(held.items.keys() | shown.items.keys()):
        ours, theirs = held.items.get(item_id), shown.items.get(item_id)
        if ours is None:
            differences.append(VaultDifference(item_id, "only the server has it"))
        elif theirs is None:
            differences.append(
                VaultDifference(
                    item_id,
                    f"the server does not have it (this device has revision {ours.revision})",
                )
            )
        else:
            differences += [VaultDifference(item_id, how) for how in _of_item(ours, theirs)]
    return differences


def _of_vault(held: VaultSet, shown: VaultSet) -> Iterator[str]:
    ours, theirs = held.waypoint, shown.waypoint
    if theirs.n < ours.n:
        yield f"the server is behind: it shows {theirs}, this device has {ours}"
    elif theirs.n > ours.n:
        yield f"the server is ahead: it shows {theirs}, this device has {ours}"
    elif theirs.head != ours.head:
        yield f"another history: the server shows {theirs}, this device has {ours}"
    if theirs.generation != ours.generation:
        yield f"version {theirs.generation} of the keys, this device has {ours.generation}"
    if shown.overview != held.overview:
        yield (
            f"a different name: revision {shown.overview.revision}, this device has revision "
            f"{held.overview.revision}"
        )


def _of_item(ours: Held, theirs: Held) -> Iterator[str]:
    if theirs.content_revision != ours.content_revision:
        age = "older" if theirs.content_revision < ours.content_revision else "newer"
        yield (
            f"{age} content: revision {theirs.content_revision}, this device has "
            f"{ours.content_revision}"
        )
    elif theirs.content != ours.content:
        yield f"another content with the same revision {ours.content_revision}"
    if theirs.state != ours.state:
        yield f"{_STATES[theirs.state]}, on this device {_STATES[ours.state]}"
    if theirs.type != ours.type:
        yield f"type {theirs.type}, this device has {ours.type}"
    if theirs.generation != ours.generation:
        yield (
            f"encrypted with version {theirs.generation} of the keys, this device has "
            f"{ours.generation}"
        )
    only_revision = theirs.revision != ours.revision and (
        (theirs.content_revision, theirs.state) == (ours.content_revision, ours.state)
    )
    if only_revision:
        yield f"revision {theirs.revision}, this device has {ours.revision}"
