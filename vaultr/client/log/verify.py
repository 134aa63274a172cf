"""Judges what a server shows of a vault: a verified new state, or an error that says why not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.seal import open_sealed
from vaultr.client.errors import AnswerInvalid, ChainBroken, StateMismatch
from vaultr.client.log.chain import Fate, Keys, Replay, check_mac, check_vouch, follow, lk_of
from vaultr.client.log.entries import SUM_MODULUS, SignedEntry, Waypoint
from vaultr.client.log.pages import Shown, read_row
from vaultr.client.log.state import (
    FIRST_GENERATION,
    Held,
    VaultState,
    item_tag,
    overview_tag,
    total_of,
)
from vaultr.client.log.verify_errors import below, fork, mismatch
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.entries import CONTENT_OPS, first_head


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask the server for: the full set, or a delta from ``since``.

    :ivar conditional: whether a 304 is an answer. It is not while the chain has still to be shown
        to pass through the profile's head.
    """

    full: bool
    since: int
    conditional: bool


@dataclass(frozen=True, slots=True)
class Synced:
    """A verified sync: the new state, and what it brought, as the server gave it.

    :ivar heads: those of the entries that it brought, by revision.
    """

    state: VaultState
    rows: Mapping[UUID, Json] = field(repr=False)
    removed: frozenset[UUID]
    vault: Json = field(repr=False)
    heads: Mapping[int, bytes] = field(default_factory=dict, repr=False)


def plan(state: VaultState | None, known: Waypoint | None) -> Plan:
    """Tell what the next sync must ask for.

    :param known: the head of this vault in the owner's profile; at revision 0 it says nothing.
    :raises ChainBroken: at one revision the profile has another head than is held.
    """
    says = known is not None and known.n > 0
    if state is None or state.n == 0:
        return Plan(full=True, since=0, conditional=state is not None and not says)
    if known is None or not says or known == state.passed or known == state.waypoint:
        return Plan(full=False, since=state.n, conditional=True)
    if known.n == state.n:
        raise ChainBroken(
            f"two histories of vault {state.vault_id}: held is {state.waypoint}, "
            f"the profile has {known}",
            vault_id=state.vault_id,
        )
    return Plan(full=False, since=min(state.n, known.n), conditional=False)


def take_full(shown: Shown, keys: Keys, known: Waypoint | None) -> Synced:
    """Judge the full set, as a device that holds no head of the vault.

    It proves the set as a whole against the newest entry. That the entry is the newest is not
    proven before :func:`plan` gives a conditional plan for the new state.

    :raises IntegrityError: the set is not what the last entry vouches for, or is older than the
        profile knows.
    """
    known = known if known and known.n > 0 else None
    if shown.since:
        raise ValueError("a delta is no full set")
    if known and shown.n < known.n:
        raise below(known, shown)
    if known and shown.n == known.n and shown.waypoint != known:
        raise fork(known, shown)
    check_claims(shown, keys)
    total = total_of(lk_of(keys, shown.generation, shown.vault_id), shown.items, shown.overview)
    last = shown.head_entry
    if last is None:
        _check_untouched(shown, keys)
    else:
        check_mac(last, keys)
        _check_last(shown, last)
        check_vouch(last, total, keys, held=None)
    state = VaultState(
        vault_id=shown.vault_id,
        n=shown.n,
        head=shown.head,
        generation=shown.generation,
        overview=shown.overview,
        total=total,
        items=shown.items,
        passed=known if known == shown.waypoint else None,
    )
    return synced(state, shown)


def take_delta(state: VaultState, shown: Shown, keys: Keys, known: Waypoint | None) -> Synced:
    """Judge a delta over ``state``: one chain through the held head and the profile's.

    :raises IntegrityError: the chain, an item or the sum is not as the log says, or the server
        shows less than is held or than the profile knows.
    """
    known = known if known and known.n > 0 else None
    landmarks = [state.waypoint, *([known] if known else [])]
    start = next((mark for mark in landmarks if mark.n == shown.since), None)
    if start is None:
        raise ValueError("this delta starts where no head is known")
    for mark in landmarks:
        if shown.n < mark.n:
            raise below(mark, shown)
    end = follow(start, shown.entries, keys, landmarks)
    if end != shown.waypoint or shown.head_entry is None or shown.head_entry.waypoint != end:
        raise ChainBroken(
            f"the log of vault {shown.vault_id} leads to {end}, the server says {shown.waypoint}",
            vault_id=shown.vault_id,
        )
    replay = Replay(state)
    for signed in shown.entries:
        if signed.entry.n > state.n:
            replay.take(signed.entry)
    _check_shown(state, shown, replay)
    return synced(_moved(state, shown, replay, keys, known), shown)


def check_item(state: VaultState, item: Json) -> Held:
    """Check one item that was asked for alone, before anything of it is opened.

    :raises StateMismatch: it is not the item of the verified set; sync first if it is newer.
    """
    item_id, row = read_row(Fields(item, "item", AnswerInvalid))
    held = state.items.get(item_id)
    if held is None or row.held != held:
        seen = f"revision {held.revision}" if held else "no such item"
        raise StateMismatch(
            f"item {item_id} is not the verified one: held at {state.waypoint} is {seen}, "
            f"the server shows revision {row.held.revision}",
            vault_id=state.vault_id,
        )
    return held


def check_claims(shown: Shown, keys: Keys) -> None:
    """Check what a full set says of itself and no vouch covers."""
    used = {held.generation for held in shown.items.values()} | {shown.overview.generation}
    if max(used) > shown.generation:
        raise mismatch(shown, "something is sealed by keys newer than the vault's", None)
    if missing := used - keys.keys():
        raise mismatch(shown, f"the keys of generation {min(missing)} are not there", None)
    _check_wraps(shown, None)
    if shown.overview.revision > shown.n:
        raise mismatch(shown, "its overview is newer than the vault", None)


def _check_wraps(shown: Shown, held: Waypoint | None) -> None:
    """Check that no keys are shown that the log does not tell of."""
    if max(shown.wraps, default=0) > shown.generation:
        raise mismatch(shown, "it has keys of a generation that its log has not begun", held)


def _check_untouched(shown: Shown, keys: Keys) -> None:
    """Check a vault that nobody wrote to: no entry vouches for it, so its overview must open.

    It has no items, because no page at revision 0 can show one.
    """
    made = Waypoint(0, first_head(shown.vault_id), FIRST_GENERATION)
    if shown.waypoint != made:
        raise ChainBroken(
            f"vault {shown.vault_id} has no last entry, yet is not new: new is {made}, the server "
            f"shows {shown.waypoint}",
            vault_id=shown.vault_id,
        )
    sealed = Fields(shown.vault, "vault", AnswerInvalid).binary("overview")
    bound = aad.vault_overview(shown.vault_id, 0, FIRST_GENERATION)
    open_sealed(keys[FIRST_GENERATION].vk, bound, sealed, f"the name of vault {shown.vault_id}")


def _check_last(shown: Shown, last: SignedEntry) -> None:
    """Check that the last entry leads to the shown head, and fits the item it is about."""
    if last.waypoint != shown.waypoint:
        raise ChainBroken(
            f"the last entry of vault {shown.vault_id} leads to {last.waypoint}, the server says "
            f"{shown.waypoint}",
            vault_id=shown.vault_id,
        )
    written = {item_id for item_id, held in shown.items.items() if held.revision == shown.n}
    told = {last.entry.item_id} if last.entry.op in CONTENT_OPS else set()
    if written != told:
        raise mismatch(shown, "its newest item is not the one that was last written", None)


def _check_shown(state: VaultState, shown: Shown, replay: Replay) -> None:
    """Check that the rows and removals are exactly those that the log tells of."""
    _check_wraps(shown, state.waypoint)
    for item_id, fate in replay.fates.items():
        row = shown.rows.get(item_id)
        if fate.state is None:
            fits = shown.removed.get(item_id) == fate.revision
        else:
            fits = row is not None and Fate.of(row.held) == fate
        if not fits:
            what = f"item {item_id} is missing, or not as the log says"
            raise mismatch(shown, what, state.waypoint)
    for item_id, row in shown.rows.items():
        if item_id not in replay.fates and state.items.get(item_id) != row.held:
            raise mismatch(shown, f"item {item_id} is not of the log", state.waypoint)
    for item_id in shown.removed:
        if item_id not in replay.fates and item_id in state.items:
            raise mismatch(shown, f"item {item_id} is gone without an entry", state.waypoint)
    if shown.overview != replay.overview:
        raise mismatch(shown, "its overview is not as the log says", state.waypoint)


def _moved(
    state: VaultState, shown: Shown, replay: Replay, keys: Keys, known: Waypoint | None
) -> VaultState:
    """Move the state to the end of the chain, and check the sum over what is then held."""
    items = dict(state.items)
    for item_id, fate in replay.fates.items():
        if fate.state is None:
            items.pop(item_id, None)
        else:
            items[item_id] = shown.rows[item_id].held
    lk = lk_of(keys, shown.generation, shown.vault_id)
    if shown.generation != state.generation:
        total = total_of(lk, items, replay.overview)
    else:
        total = _total_after(state, items, replay, lk)
    if shown.head_entry is not None:
        check_vouch(shown.head_entry, total, keys, held=state.waypoint)
    return VaultState(
        vault_id=state.vault_id,
        n=shown.n,
        head=shown.head,
        generation=shown.generation,
        overview=replay.overview,
        total=total,
        items=items,
        passed=known or state.passed,
    )


def _total_after(state: VaultState, items: Mapping[UUID, Held], replay: Replay, lk: bytes) -> int:
    total = state.total
    if replay.overview != state.overview:
        total += overview_tag(lk, replay.overview) - overview_tag(lk, state.overview)
    for item_id in replay.fates:
        if before := state.items.get(item_id):
            total -= item_tag(lk, item_id, before)
        if after := items.get(item_id):
            total += item_tag(lk, item_id, after)
    return total % SUM_MODULUS


def synced(state: VaultState, shown: Shown) -> Synced:
    """Give a state together with what the server showed for it."""
    return Synced(
        state=state,
        rows={item_id: row.json for item_id, row in shown.rows.items()},
        removed=frozenset(shown.removed),
        vault=shown.vault,
        heads={signed.entry.n: signed.head for signed in shown.entries},
    )
