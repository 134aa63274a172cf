"""Follows the log of a vault entry by entry: every link, every MAC, every rule of the protocol."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hmac import compare_digest
from uuid import UUID

from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.crypto.primitives import hmac_sha256
from vaultr.client.errors import ChainBroken, StateMismatch
from vaultr.client.log.entries import SignedEntry, Waypoint, short_head, vouch
from vaultr.client.log.state import Held, Overview, VaultState
from vaultr.protocol.entries import ITEM_OPS, NOTHING, Entry, Op

Keys = Mapping[int, VaultKeys]


def lk_of(keys: Keys, generation: int, vault_id: UUID) -> bytes:
    """Give the log key of one generation.

    :raises StateMismatch: the server showed no wrap of it.
    """
    if generation not in keys:
        raise StateMismatch(
            f"vault {vault_id} names generation {generation}, whose keys are not there",
            vault_id=vault_id,
        )
    return keys[generation].lk


def check_mac(signed: SignedEntry, keys: Keys) -> None:
    """Check that somebody with the vault's keys wrote this entry.

    :raises ChainBroken: its MAC is wrong.
    """
    entry = signed.entry
    lk = lk_of(keys, entry.generation, entry.vault_id)
    if not compare_digest(hmac_sha256(lk, entry.signed()), signed.mac):
        raise _broken(entry, "is not signed by the vault's key", signed.waypoint)


def check_vouch(last: SignedEntry, total: int, keys: Keys, held: Waypoint | None) -> None:
    """Check that the last entry vouches for the sum of what is then held.

    :raises StateMismatch: it vouches for another set.
    """
    entry = last.entry
    lk = lk_of(keys, entry.generation, entry.vault_id)
    if not compare_digest(vouch(lk, entry.vault_id, entry.n, total), entry.vouch):
        ours = f"held is {held}" if held else "nothing is held"
        raise StateMismatch(
            f"the items of vault {entry.vault_id} are not those that its last entry vouches for "
            f"({ours}, the server shows {last.waypoint})",
            vault_id=entry.vault_id,
        )


def follow(
    start: Waypoint, entries: Iterable[SignedEntry], keys: Keys, landmarks: Iterable[Waypoint]
) -> Waypoint:
    """Follow the chain from ``start`` to its end, through all ``landmarks`` on its way.

    A landmark beyond the end is not judged here.

    :raises ChainBroken: a link, a MAC, a rule or a landmark does not hold.
    """
    known = {landmark.n: landmark for landmark in landmarks}
    here = start
    if known.get(here.n, here) != here:
        raise ChainBroken(f"two histories: known are {known[here.n]} and {here}")
    for signed in entries:
        _check_link(signed.entry, here)
        check_mac(signed, keys)
        here = signed.waypoint
        landmark = known.get(here.n, here)
        if landmark != here:
            raise _forked(signed.entry, landmark, str(here))
    return here


def _forked(entry: Entry, known: Waypoint, shown: str) -> ChainBroken:
    return ChainBroken(
        f"two histories of vault {entry.vault_id}: known is {known}, the server's log has {shown}",
        vault_id=entry.vault_id,
    )


def _check_link(entry: Entry, here: Waypoint) -> None:
    if entry.n != here.n + 1:
        raise _broken(entry, "does not follow", here)
    if entry.prev != here.head:
        raise _forked(entry, here, f"{here.n} {short_head(entry.prev)}")
    begins = entry.op is Op.ROTATE_BEGIN
    if entry.generation != here.generation + (1 if begins else 0):
        raise _broken(entry, f"has generation {entry.generation} after {here.generation}", here)
    _check_form(entry, here)


def _check_form(entry: Entry, here: Waypoint) -> None:
    match entry.op:
        case Op.PUT | Op.RENAME:
            fits = entry.content_revision == entry.n
        case Op.TRASH | Op.RESTORE:
            fits = 1 <= entry.content_revision < entry.n
        case _:
            fits = entry.content_revision == 0 and entry.content == NOTHING
    if not fits or (entry.item_id is not None) != (entry.op in ITEM_OPS):
        raise _broken(entry, f"has not the form of {entry.op}", here)


def _broken(entry: Entry, what: str, here: Waypoint) -> ChainBroken:
    return ChainBroken(
        f"entry {entry.n} of vault {entry.vault_id} {what} (the chain is at {here})",
        vault_id=entry.vault_id,
    )


@dataclass(frozen=True, slots=True)
class Fate:
    """What the log says of one item after its last entry; ``None`` as state: removed.

    :ivar generation: of the keys that its last put was sealed under: the vault's at that time.
    """

    revision: int
    content_revision: int
    content: bytes
    state: str | None
    generation: int

    @classmethod
    def of(cls, held: Held) -> "Fate":
        """Give the fate of an item that is held."""
        return cls(held.revision, held.content_revision, held.content, held.state, held.generation)


class Replay:
    """Replays entries over a held state, and so knows what each touched item must be.

    :ivar fates: of the items that the entries touch, and no others.
    :ivar overview: what the vault's overview must be.
    """

    def __init__(self, state: VaultState) -> None:
        self._state = state
        self.fates: dict[UUID, Fate] = {}
        self.overview: Overview = state.overview

    def take(self, entry: Entry) -> None:
        """Replay the next entry.

        :raises ChainBroken: it does to an item what cannot be done to it.
        """
        if entry.op is Op.RENAME:
            self.overview = Overview(entry.n, entry.generation, entry.content)
        elif entry.item_id is not None:
            self.fates[entry.item_id] = self._next(entry, self._present(entry.item_id))

    def _present(self, item_id: UUID) -> Fate | None:
        if item_id in self.fates:
            return self.fates[item_id]
        held = self._state.items.get(item_id)
        return None if held is None else Fate.of(held)

    def _next(self, entry: Entry, fate: Fate | None) -> Fate:
        before = fate.state if fate else "absent"
        match entry.op, before:
            case Op.PUT, "absent" | "active":
                return Fate(entry.n, entry.n, entry.content, "active", entry.generation)
            case (Op.TRASH, "active") | (Op.RESTORE, "trash"):
                moved = "trash" if entry.op is Op.TRASH else "active"
                return self._moved(entry, fate, moved)
            case Op.REMOVE, "active" | "trash":
                return Fate(entry.n, 0, NOTHING, None, entry.generation)
        raise self._refusal(entry, before or "removed")

    def _moved(self, entry: Entry, fate: Fate | None, state: str) -> Fate:
        content = (entry.content_revision, entry.content)
        if fate is None or content != (fate.content_revision, fate.content):
            raise self._refusal(entry, "of another content")
        return replace(fate, revision=entry.n, state=state)

    def _refusal(self, entry: Entry, what: str) -> ChainBroken:
        return ChainBroken(
            f"entry {entry.n} says {entry.op} of item {entry.item_id}, which is {what} "
            f"(held is {self._state.waypoint})",
            vault_id=entry.vault_id,
        )
