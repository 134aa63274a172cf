"""Check the server's list of vaults against the profile and this device's copies."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote
from uuid import UUID

from vaultr.client.errors import AnswerInvalid, ChainBroken, RolledBack, StateMismatch
from vaultr.client.log.entries import Waypoint
from vaultr.client.log.pages import check_wraps, read_overview, read_wraps
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
    """Sends requests with an account's tokens."""

    def send(self, method: str, path: str) -> Answer:
        """Send one request and return the response."""
        ...


def ask_list(sender: Sender) -> Iterator[Json]:
    """Yield the vaults in the server's list, page by page, unverified.

    :raises AnswerInvalid: the list has no end.
    """
    return ask_pages(sender, "/vaults", "vaults")


def ask_pages(sender: Sender, path: str, name: str) -> Iterator[Json]:
    """Yield the entries of the server's list ``name``, page by page, unverified.

    :raises AnswerInvalid: the list has no end, or a page has more than was requested.
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
            raise AnswerInvalid(f"The server returned more {name} on a page than were requested.")
        yield from listed
        if fields.raw().get("next_cursor") is None:
            return
        cursor = f"&cursor={quote(fields.token('next_cursor', most=1000), safe='')}"
    raise AnswerInvalid(f"The server's list of {name} has no end.")


@dataclass(frozen=True, slots=True)
class VaultListing:
    """The vaults that may be opened, and listed vaults that the owner has deleted.

    Never open ``deleted`` ones: the owner gets a notice, and DELETE is sent again.
    """

    open: Mapping[UUID, Json] = field(repr=False)
    deleted: tuple[UUID, ...]

    def check_synced(self, state: VaultState) -> None:
        """Check that the list agrees with the vault's log.

        :raises RolledBack: the list has a higher revision.
        :raises ChainBroken: the list has another head at this revision.
        :raises StateMismatch: the list has another generation or overview at this revision, a later
            generation, or keys of a generation that has not begun.
        """
        vault_id, fields = state.vault_id, Fields(self.open[state.vault_id], "vault", AnswerInvalid)
        listed = _place(fields)
        _check_order(
            vault_id, listed, state.waypoint, "the server's list of vaults shows", "its log"
        )
        check_wraps(read_wraps(fields, vault_id), listed.generation, vault_id)
        if listed.n == state.n and read_overview(fields) != state.overview:
            raise StateMismatch(
                f"The server's list of vaults shows another name for vault {vault_id} than your "
                f"devices gave it (this device has {state.waypoint}, the list shows {listed}).",
                vault_id=vault_id,
            )


def check_list(
    profile: Profile, vaults: Iterable[Json], held: Mapping[UUID, VaultState]
) -> VaultListing:
    """Check that no known vault is missing from the server's list or older in it.

    :param vaults: all pages of the server's list.
    :param held: the states that this device holds.
    :raises RolledBack: a vault is missing, or below a known revision.
    :raises ChainBroken: a vault has another head at a known revision.
    :raises StateMismatch: a vault has another generation than the chain had at that revision.
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
    return VaultListing(
        open={each: json for each, (_, json) in listed.items() if each not in deleted},
        deleted=tuple(sorted(deleted & listed.keys())),
    )


def _read(vaults: Iterable[Json]) -> dict[UUID, tuple[Waypoint, Json]]:
    listed: dict[UUID, tuple[Waypoint, Json]] = {}
    for vault in vaults:
        fields = Fields(vault, "vault", AnswerInvalid)
        vault_id = fields.uuid("id")
        if vault_id in listed:
            raise AnswerInvalid(f"The server lists vault {vault_id} twice.", vault_id=vault_id)
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
            f"Vault {vault_id} is missing from the server's list of vaults; one of your devices "
            f"saw {known}.",
            vault_id=vault_id,
        )
    shown, _ = listed[vault_id]
    _check_order(
        vault_id, known, shown, "one of your devices saw", "the server's list of vaults shows"
    )


def _check_order(vault_id: UUID, before: Waypoint, after: Waypoint, was: str, now: str) -> None:
    """Check a later waypoint against an earlier one; ``was`` and ``now`` name their sources."""
    both = f"{was} {before}, {now} {after}"
    if after.n < before.n:
        raise RolledBack(
            f"The server shows an older state of vault {vault_id}: {both}.", vault_id=vault_id
        )
    if after.n == before.n and after.head != before.head:
        raise ChainBroken(
            f"The server shows two histories of vault {vault_id}: {both}.", vault_id=vault_id
        )
    falls = after.generation < before.generation
    if falls or (after.n == before.n and after.generation != before.generation):
        raise StateMismatch(
            f"The server contradicts itself about the keys of vault {vault_id}: {both} "
            f"(versions {before.generation} and {after.generation} of its keys).",
            vault_id=vault_id,
        )
