"""Holds the server's list of vaults against the profile and what this device holds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.errors import AnswerInvalid, ChainBroken, RolledBack, StateMismatch
from vaultr.client.log import Waypoint
from vaultr.client.profile import Deleted, Profile
from vaultr.client.state import VaultState
from vaultr.client.strict import Fields, Json
from vaultr.protocol.entries import HASH_BYTES


@dataclass(frozen=True, slots=True)
class Listed:
    """The vaults that may be opened, and those listed though deleted.

    ``deleted`` must never be opened: the owner is told, and DELETE is sent again.
    """

    open: Mapping[UUID, Json] = field(repr=False)
    deleted: tuple[UUID, ...]


def check_list(profile: Profile, vaults: Iterable[Json], held: Mapping[UUID, VaultState]) -> Listed:
    """Check that nothing known is missing from the server's list or further back in it.

    :param vaults: the vaults as the server lists them, all pages.
    :param held: the states that this device holds.
    :raises RolledBack: a vault is missing, or below a known revision.
    :raises ChainBroken: a vault has another head at a known revision.
    :raises StateMismatch: a vault has another generation than the chain gave at that revision.
    """
    known = profile.vaults
    listed = _read(vaults)
    deleted = {vault_id for vault_id, place in known.items() if isinstance(place, Deleted)}
    for vault_id, place in known.items():
        if not isinstance(place, Deleted):
            _check_place(vault_id, place, listed)
    for vault_id, state in held.items():
        if vault_id not in deleted:
            _check_place(vault_id, state.waypoint, listed)
    return Listed(
        open={each: json for each, (_, json) in listed.items() if each not in deleted},
        deleted=tuple(sorted(deleted & listed.keys())),
    )


def _read(vaults: Iterable[Json]) -> dict[UUID, tuple[Waypoint, Json]]:
    listed: dict[UUID, tuple[Waypoint, Json]] = {}
    for vault in vaults:
        fields = Fields(vault, "vault", AnswerInvalid)
        vault_id = fields.uuid("id")
        if vault_id in listed:
            raise AnswerInvalid(f"vault {vault_id} is listed twice", vault_id=vault_id)
        place = Waypoint(
            n=fields.count("revision"),
            head=fields.binary("head", HASH_BYTES),
            generation=fields.count("generation", least=1),
        )
        listed[vault_id] = (place, vault)
    return listed


def _check_place(
    vault_id: UUID, known: Waypoint, listed: Mapping[UUID, tuple[Waypoint, Json]]
) -> None:
    if vault_id not in listed:
        raise RolledBack(
            f"vault {vault_id} is missing from the server's list; seen before is {known}",
            vault_id=vault_id,
        )
    shown, _ = listed[vault_id]
    if shown.n < known.n:
        raise RolledBack(
            f"vault {vault_id} went back: seen before is {known}, the server lists {shown}",
            vault_id=vault_id,
        )
    if shown.n == known.n and shown.head != known.head:
        raise ChainBroken(
            f"two histories of vault {vault_id}: known is {known}, the server lists {shown}",
            vault_id=vault_id,
        )
    if shown.n == known.n and shown.generation != known.generation:
        raise StateMismatch(
            f"vault {vault_id} is at {known} under generation {known.generation}, "
            f"the server lists generation {shown.generation}",
            vault_id=vault_id,
        )
