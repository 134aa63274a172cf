"""Follow a vault's log entry by entry, and check every link, MAC and rule of the protocol."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hmac import compare_digest
from uuid import UUID

from vaultr.client.crypto.keys import Keys, lk_of
from vaultr.client.crypto.primitives import hmac_sha256
from vaultr.client.errors import ChainBroken, StateMismatch
from vaultr.client.log.entries import SignedEntry, Waypoint, shown_place, vouch
from vaultr.client.log.state import Held, Overview, VaultState
from vaultr.protocol.entries import ITEM_OPS, NOTHING, Entry, Op


def check_mac(signed: SignedEntry, keys: Keys) -> None:
    """Check that a holder of the vault's keys wrote this entry.

    :raises ChainBroken: the MAC is wrong.
    """
    entry = signed.entry
    lk = lk_of(keys, entry.generation, entry.vault_id)
    if not compare_digest(hmac_sha256(lk, entry.signed()), signed.mac):
        raise _broken(entry, "was not signed with the vault's keys", signed.waypoint)


def check_vouch(last: SignedEntry, total: int, keys: Keys, held: Waypoint | None) -> None:
    """Check that the last entry commits to the sum of the resulting set.

    :raises StateMismatch: it commits to a different set.
    """
    entry = last.entry
    lk = lk_of(keys, entry.generation, entry.vault_id)
    if not compare_digest(vouch(lk, entry.vault_id, entry.n, total), entry.vouch):
        ours = f"this device has {held}" if held else "this device has no copy"
        raise StateMismatch(
            f"The server's items of vault {entry.vault_id} are not the ones that your devices "
            f"wrote ({ours}, the server shows {last.waypoint}).",
            vault_id=entry.vault_id,
        )


def follow(
    start: Waypoint, entries: Iterable[SignedEntry], keys: Keys, landmarks: Iterable[Waypoint]
) -> Waypoint:
    """Follow the chain from ``start`` to its end, through all ``landmarks`` in between.

    Landmarks beyond the end are not checked.

    :raises ChainBroken: a link, a MAC, a rule or a landmark does not match.
    """
    known = {landmark.n: landmark for landmark in landmarks}
    here = start
    if known.get(here.n, here) != here:
        raise ChainBroken(
            f"The server shows two histories: your devices saw {known[here.n]} and {here}."
        )
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
        f"The server shows two histories of vault {entry.vault_id}: your devices saw {known}, now "
        f"its log has {shown}.",
        vault_id=entry.vault_id,
    )


def _check_link(entry: Entry, here: Waypoint) -> None:
    if entry.n != here.n + 1:
        raise _broken(entry, "does not follow the one before it", here)
    if entry.prev != here.head:
        raise _forked(entry, here, shown_place(here.n, entry.prev))
    begins = entry.op is Op.ROTATE_BEGIN
    if entry.generation != here.generation + (1 if begins else 0):
        raise _broken(
            entry,
            f"uses version {entry.generation} of the keys after version {here.generation}",
            here,
        )
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
        raise _broken(entry, f"is not a valid {entry.op}", here)


def _broken(entry: Entry, what: str, here: Waypoint) -> ChainBroken:
    return ChainBroken(
        f"The server's log of vault {entry.vault_id} is altered or damaged: entry {entry.n} {what} "
        f"(after {here}).",
        vault_id=entry.vault_id,
    )


@dataclass(frozen=True, slots=True)
class LoggedItem:
    """One item according to the log; its state is None if it was removed.

    :ivar generation: the generation of the keys under which its last put was sealed.
    """

    revision: int
    content_revision: int
    content: bytes
    state: str | None
    generation: int

    @classmethod
    def of(cls, held: Held) -> "LoggedItem":
        """Return a held item in the form that the log must show."""
        return cls(held.revision, held.content_revision, held.content, held.state, held.generation)


class Replay:
    """Replays entries on a state, and so computes the required state of each changed item.

    :ivar touched: the items that the entries change, and no others.
    :ivar overview: what the vault's overview must be.
    """

    def __init__(self, state: VaultState) -> None:
        self._state = state
        self.touched: dict[UUID, LoggedItem] = {}
        self.overview: Overview = state.overview

    def take(self, entry: Entry) -> None:
        """Replay the next entry.

        :raises ChainBroken: the item's state does not allow the entry.
        """
        if entry.op is Op.RENAME:
            self.overview = Overview(entry.n, entry.generation, entry.content)
        elif entry.item_id is not None:
            self.touched[entry.item_id] = self._next(entry, self._present(entry.item_id))

    def _present(self, item_id: UUID) -> LoggedItem | None:
        if item_id in self.touched:
            return self.touched[item_id]
        held = self._state.items.get(item_id)
        return None if held is None else LoggedItem.of(held)

    def _next(self, entry: Entry, logged: LoggedItem | None) -> LoggedItem:
        before = logged.state if logged else "absent"
        match entry.op, before:
            case Op.PUT, "absent" | "active":
                return LoggedItem(entry.n, entry.n, entry.content, "active", entry.generation)
            case (Op.TRASH, "active") | (Op.RESTORE, "trash"):
                moved = "trash" if entry.op is Op.TRASH else "active"
                return self._moved(entry, logged, moved)
            case Op.REMOVE, "active" | "trash":
                return LoggedItem(entry.n, 0, NOTHING, None, entry.generation)
        raise self._impossible(entry, f"is {before or 'removed'}")

    def _moved(self, entry: Entry, logged: LoggedItem | None, state: str) -> LoggedItem:
        content = (entry.content_revision, entry.content)
        if logged is None or content != (logged.content_revision, logged.content):
            raise self._impossible(entry, "has a different content")
        return replace(logged, revision=entry.n, state=state)

    def _impossible(self, entry: Entry, what: str) -> ChainBroken:
        return ChainBroken(
            f"The server's log of vault {entry.vault_id} is altered or damaged: entry {entry.n} is "
            f"a {entry.op} of item {entry.item_id}, which {what} (this device has "
            f"{self._state.waypoint}).",
            vault_id=entry.vault_id,
        )
