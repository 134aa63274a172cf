"""Says in which items two sets of one vault differ, and how; it judges and changes nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from vaultr.client.log.entries import Waypoint
from vaultr.client.log.state import Held, Overview


class VaultSet(Protocol):
    """A set of items with its place in the history: a held state, or what a server shows."""

    @property
    def items(self) -> Mapping[UUID, Held]:
        """What is known of each item."""
        ...

    @property
    def overview(self) -> Overview:
        """The vault's own overview."""
        ...

    @property
    def waypoint(self) -> Waypoint:
        """Where in the vault's history the set is."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; without an item id it is about the vault itself."""

    item_id: UUID | None
    how: str

    def __str__(self) -> str:
        return f"{self.item_id or 'the vault'}: {self.how}"


def explain(held: VaultSet, shown: VaultSet) -> list[Difference]:
    """List how what the server shows differs from what is held, the vault itself first."""
    differences = [Difference(None, how) for how in _of_vault(held, shown)]
    for item_id in sorted(held.items.keys() | shown.items.keys()):
        ours, theirs = held.items.get(item_id), shown.items.get(item_id)
        if ours is None:
            differences.append(Difference(item_id, "not held, the server has it"))
        elif theirs is None:
            differences.append(Difference(item_id, f"missing: held is revision {ours.revision}"))
        else:
            differences += [Difference(item_id, how) for how in _of_item(ours, theirs)]
    return differences


def _of_vault(held: VaultSet, shown: VaultSet) -> Iterator[str]:
    ours, theirs = held.waypoint, shown.waypoint
    if theirs.n < ours.n:
        yield f"the server is behind: held is {ours}, the server shows {theirs}"
    elif theirs.n > ours.n:
        yield f"the server is ahead: held is {ours}, the server shows {theirs}"
    elif theirs.head != ours.head:
        yield f"two histories: held is {ours}, the server shows {theirs}"
    if theirs.generation != ours.generation:
        yield f"generation {theirs.generation} of the keys, held is {ours.generation}"
    if shown.overview != held.overview:
        yield (
            f"another name: revision {shown.overview.revision}, held is {held.overview.revision}"
        )


def _of_item(ours: Held, theirs: Held) -> Iterator[str]:
    if theirs.content_revision != ours.content_revision:
        age = "older" if theirs.content_revision < ours.content_revision else "newer"
        yield f"{age} content: {theirs.content_revision}, held is {ours.content_revision}"
    elif theirs.content != ours.content:
        yield f"another content under the same revision {ours.content_revision}"
    if theirs.state != ours.state:
        yield f"state {theirs.state}, held is {ours.state}"
    if theirs.type != ours.type:
        yield f"type {theirs.type}, held is {ours.type}"
    if theirs.generation != ours.generation:
        yield f"sealed under generation {theirs.generation}, held is {ours.generation}"
    only_revision = theirs.revision != ours.revision and (
        (theirs.content_revision, theirs.state) == (ours.content_revision, ours.state)
    )
    if only_revision:
        yield f"revision {theirs.revision}, held is {ours.revision}"
