"""The verified state of one vault, the sum that the log commits to, and what to sync next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.errors import ChainBroken
from vaultr.client.log.entries import SUM_MODULUS, ItemState, Waypoint, tag
from vaultr.protocol.encoding import b64, unb64
from vaultr.protocol.entries import first_head, overview_content

FIRST_GENERATION: Final = 1


@dataclass(frozen=True, slots=True)
class Held:
    """One verified item: its data in the log, and the hash of its sealed parts."""

    revision: int
    content_revision: int
    generation: int
    type: str
    content: bytes
    state: ItemState


@dataclass(frozen=True, slots=True)
class Overview:
    """The vault's own sealed overview: its revision (0 at creation), generation and hash."""

    revision: int
    generation: int
    content: bytes


@dataclass(frozen=True, slots=True)
class VaultState:
    """A verified state of one vault. It is immutable: every change creates a new one.

    :ivar total: the sum of the tags of all items and the overview, under the keys of
        ``generation``; never sent.
    :ivar passed: the last head of the profile that is known to be on the chain.
    """

    vault_id: UUID
    n: int
    head: bytes
    generation: int
    overview: Overview
    total: int = field(repr=False)
    items: Mapping[UUID, Held] = field(repr=False)
    passed: Waypoint | None = None

    @property
    def waypoint(self) -> Waypoint:
        """The position of this state in the vault's history."""
        return Waypoint(self.n, self.head, self.generation)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON for the sealed cache."""
        return {
            "vault_id": str(self.vault_id),
            "n": self.n,
            "head": b64(self.head),
            "generation": self.generation,
            "total": format(self.total, "x"),
            "overview": [
                self.overview.revision,
                self.overview.generation,
                b64(self.overview.content),
            ],
            "passed": _waypoint_to_json(self.passed),
            "items": [
                [
                    str(item_id),
                    held.revision,
                    held.content_revision,
                    held.generation,
                    held.type,
                    b64(held.content),
                    held.state,
                ]
                for item_id, held in self.items.items()
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "VaultState":
        """Return the state from JSON of an authenticated cache."""
        revision, generation, content = value["overview"]
        return cls(
            vault_id=UUID(value["vault_id"]),
            n=value["n"],
            head=unb64(value["head"]),
            generation=value["generation"],
            total=int(value["total"], 16),
            overview=Overview(revision, generation, unb64(content)),
            passed=_waypoint_from_json(value["passed"]),
            items={UUID(item_id): _held(*rest) for item_id, *rest in value["items"]},
        )


def _held(
    revision: int,
    content_revision: int,
    generation: int,
    type: str,
    content: str,
    state: ItemState,
) -> Held:
    return Held(revision, content_revision, generation, type, unb64(content), state)


def _waypoint_to_json(waypoint: Waypoint | None) -> list[Any] | None:
    if waypoint is None:
        return None
    return [waypoint.n, b64(waypoint.head), waypoint.generation]


def _waypoint_from_json(value: list[Any] | None) -> Waypoint | None:
    if value is None:
        return None
    n, head, generation = value
    return Waypoint(n, unb64(head), generation)


def new_vault(vault_id: UUID, overview: bytes, keys: VaultKeys) -> VaultState:
    """Return the state of a vault that this client creates with its sealed ``overview``."""
    made = Overview(revision=0, generation=FIRST_GENERATION, content=overview_content(overview))
    return VaultState(
        vault_id=vault_id,
        n=0,
        head=first_head(vault_id),
        generation=FIRST_GENERATION,
        overview=made,
        total=total_of(keys.lk, {}, made),
        items={},
    )


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """The next sync request: the full set, or a delta from ``since``.

    :ivar conditional: whether a 304 is acceptable. It is not, until the chain has passed through
        the profile's head.
    """

    full: bool
    since: int
    conditional: bool


def plan_sync(state: VaultState | None, known: Waypoint | None) -> SyncPlan:
    """Return what the next sync must request.

    :param known: the head of this vault in the owner's profile; revision 0 is ignored.
    :raises ChainBroken: the profile has a different head for the revision of ``state``.
    """
    is_set = known is not None and known.n > 0
    if state is None or state.n == 0:
        return SyncPlan(full=True, since=0, conditional=state is not None and not is_set)
    if known is None or not is_set or known == state.passed or known == state.waypoint:
        return SyncPlan(full=False, since=state.n, conditional=True)
    if known.n == state.n:
        raise ChainBroken(
            f"The server shows two histories of vault {state.vault_id}: it showed this device "
            f"{state.waypoint}, and another of your devices {known}.",
            vault_id=state.vault_id,
        )
    return SyncPlan(full=False, since=min(state.n, known.n), conditional=False)


def item_tag(lk: bytes, item_id: UUID, held: Held) -> int:
    """Return the term that one item adds to the sum."""
    return tag(lk, item_id, held.content_revision, held.content, held.state)


def overview_tag(lk: bytes, overview: Overview) -> int:
    """Return the term that the vault's own overview adds to the sum."""
    return tag(lk, None, overview.revision, overview.content, "active")


def total_of(lk: bytes, items: Mapping[UUID, Held], overview: Overview) -> int:
    """Return the sum of the tags of all items; 10,000 items take about 50 ms."""
    total = overview_tag(lk, overview)
    for item_id, held in items.items():
        total += item_tag(lk, item_id, held)
    return total % SUM_MODULUS
