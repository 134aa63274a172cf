"""Holds the server's list of vaults against the profile and what this device holds."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote
from uuid import UUID

from vaultr.client.errors import AnswerInvalid, ChainBroken, RolledBack, StateMismatch
from vaultr.client.log.entries import Waypoint
from vaultr.client.log.pages import read_overview, read_wraps
from vaultr.client.log.state import VaultState
from vaultr.client.storage.profile import Deleted, Profile
from vaultr.client.strict_json import Fields, Json
from vaultr.client.transport.http_transport import Answer
from vaultr.client.transport.responses import fields_of
from vaultr.protocol.entries import HASH_BYTES
from vaultr.protocol.sizes import ANSWER_BYTES, LIST_LIMIT_MOST

_PAGES_MOST: Final = 100
_BYTES_MOST: Final = 2 * ANSWER_BYTES


class Sender(Protocol):
    """Whoever sends a request with an account's tokens."""

    def send(self, method: str, path: str) -> Answer:
        """Send one request, and give its answer."""
        ...


def ask_list(sender: Sender) -> Iterator[Json]:
    """Give the vaults as the server lists them, page after page; nothing is judged yet.

    :raises AnswerInvalid: the list has no end.
    """
    return ask_pages(sender, "/vaults", "vaults")


def ask_pages(sender: Sender, path: str, name: str) -> Iterator[Json]:
    """Give what the server lists under ``name``, page after page; nothing is judged yet.

    :raises AnswerInvalid: the list has no end, or a page more than was asked for.
    """
    cursor, size = "", 0
    for _ in range(_PAGES_MOST):
        answer = sender.send("GET", f"{path}?limit={LIST_LIMIT_MOST}{cursor}")
        size += answer.size
        if size > _BYTES_MOST:
            break
        fields = fields_of(answer, name)
        listed = [each.raw() for each in fields.objects(name)]
        if len(listed) > LIST_LIMIT_MOST:
            raise AnswerInvalid(f"a page of the {name} has more than were asked for")
        yield from listed
        if fields.raw().get("next_cursor") is None:
            return
        cursor = f"&cursor={quote(fields.token('next_cursor', most=1000), safe='')}"
    raise AnswerInvalid(f"the list of {name} has no end")


@dataclass(frozen=True, slots=True)
class Listed:
    """The vaults that may be opened, and those listed though deleted.

    ``deleted`` must never be opened: the owner is told, and DELETE is sent again.
    """

    open: Mapping[UUID, Json] = field(repr=False)
    deleted: tuple[UUID, ...]

    def check_synced(self, state: VaultState) -> None:
        """Check that the list said nothing else of a vault than what its log says now.

        :raises RolledBack: the list had a higher revision.
        :raises ChainBroken: the list had another head at this revision.
        :raises StateMismatch: the list had another generation or overview at this revision, a later
            generation, or keys of one that has not begun.
        """
        vault_id, fields = state.vault_id, Fields(self.open[state.vault_id], "vault", AnswerInvalid)
        listed = _place(fields)
        _check_order(vault_id, listed, state.waypoint, "the list has", "its log")
        newest = max(read_wraps(fields, vault_id), default=0)
        renamed = listed.n == state.n and read_overview(fields) != state.overview
        if newest > listed.generation or renamed:
            what = "another overview" if renamed else f"keys of generation {newest}"
            raise StateMismatch(
                f"vault {vault_id} is at {state.waypoint}, the list has {what} for it at {listed}",
                vault_id=vault_id,
            )


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
        listed[vault_id] = (_place(fields), vault)
    return listed


def _place(vault: Fields) -> Waypoint:
    return Waypoint(
        n=vault.count("revision"),
        head=vault.binary("head", HASH_BYTES),
        generation=vault.count("generation", least=1),
    )


def _check_place(
    vault_id: UUID, known: Waypoint, listed: Mapping[UUID, tuple[Waypoint, Json]]
) -> None:
    if vault_id not in listed:
        raise RolledBack(
            f"vault {vault_id} is missing from the server's list; seen before is {known}",
            vault_id=vault_id,
        )
    shown, _ = listed[vault_id]
    _check_order(vault_id, known, shown, "seen before is", "the server lists")


def _check_order(vault_id: UUID, before: Waypoint, after: Waypoint, was: str, now: str) -> None:
    """Check what came later against what came before; ``was`` and ``now`` say where from."""
    said = f"{was} {before}, {now} {after}"
    if after.n < before.n:
        raise RolledBack(f"vault {vault_id} went back: {said}", vault_id=vault_id)
    if after.n == before.n and after.head != before.head:
        raise ChainBroken(f"two histories of vault {vault_id}: {said}", vault_id=vault_id)
    falls = after.generation < before.generation
    if falls or (after.n == before.n and after.generation != before.generation):
        raise StateMismatch(
            f"vault {vault_id} has two generations of keys: {said} "
            f"({before.generation} and {after.generation})",
            vault_id=vault_id,
        )
