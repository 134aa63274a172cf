"""Verify a vault in the server's response: return the new state, or raise an error."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import Keys, lk_of
from vaultr.client.crypto.seal import open_sealed
from vaultr.client.errors import AnswerInvalid, ChainBroken, RolledBack, StateMismatch
from vaultr.client.log.chain import LoggedItem, Replay, check_mac, check_vouch, follow
from vaultr.client.log.entries import SUM_MODULUS, SignedEntry, Waypoint
from vaultr.client.log.pages import Shown, check_wraps, read_row
from vaultr.client.log.state import (
    FIRST_GENERATION,
    Held,
    VaultState,
    item_tag,
    overview_tag,
    total_of,
)
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.entries import CONTENT_OPS, first_head


@dataclass(frozen=True, slots=True)
class Synced:
    """A verified sync: the new state, and what the server returned.

    :ivar heads: the heads of the entries that it returned, by revision.
    """

    state: VaultState
    rows: Mapping[UUID, Json] = field(repr=False)
    removed: frozenset[UUID]
    vault: Json = field(repr=False)
    heads: Mapping[int, bytes] = field(default_factory=dict, repr=False)


def take_full(shown: Shown, keys: Keys, known: Waypoint | None) -> Synced:
    """Verify the full set, for a device that has no head of the vault.

    This verifies the set as a whole against the last entry. It does not prove that the entry is the
    newest one; that is proven when :func:`plan_sync` returns a conditional plan for the new state.

    :raises IntegrityError: the last entry does not commit to the set, or the set is older than the
        profile's head.
    """
    known = known if known and known.n > 0 else None
    if shown.since:
        raise ValueError("take_full needs a full set")
    if known and shown.n < known.n:
        raise _rolled_back(known, shown)
    if known and shown.n == known.n and shown.waypoint != known:
        raise _forked(known, shown)
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
    """Verify a delta after ``state``: one chain through its head and the profile's head.

    :raises IntegrityError: the chain, an item or the sum does not match the log, or the server
        shows an older state than ``state`` or the profile.
    """
    known = known if known and known.n > 0 else None
    landmarks = [state.waypoint, *([known] if known else [])]
    start = next((mark for mark in landmarks if mark.n == shown.since), None)
    if start is None:
        raise ValueError("the delta must start at a known head")
    for mark in landmarks:
        if shown.n < mark.n:
            raise _rolled_back(mark, shown)
    end = follow(start, shown.entries, keys, landmarks)
    if end != shown.waypoint or shown.head_entry is None or shown.head_entry.waypoint != end:
        raise ChainBroken(
            f"The server contradicts itself about vault {shown.vault_id}: its log of changes leads "
            f"to {end}, but it shows {shown.waypoint}.",
            vault_id=shown.vault_id,
        )
    replay = Replay(state)
    for signed in shown.entries:
        if signed.entry.n > state.n:
            replay.take(signed.entry)
    _check_shown(state, shown, replay)
    return synced(_moved(state, shown, replay, keys, known), shown)


def check_item(state: VaultState, item: Json) -> Held:
    """Check an item that was fetched alone against the verified set, before it is opened.

    :raises StateMismatch: it differs; sync first if it is newer.
    """
    item_id, row = read_row(Fields(item, "item", AnswerInvalid))
    held = state.items.get(item_id)
    if held is None or row.held != held:
        seen = f"revision {held.revision}" if held else "no such item"
        raise StateMismatch(
            f"Item {item_id} is not the one that your devices wrote: this device has {seen} (the "
            f"vault at {state.waypoint}), the server shows revision {row.held.revision}.",
            vault_id=state.vault_id,
        )
    return held


def check_claims(shown: Shown, keys: Keys) -> None:
    """Check the claims of a full set that the vouch does not cover."""
    used = {held.generation for held in shown.items.values()} | {shown.overview.generation}
    if max(used) > shown.generation:
        raise _mismatch(shown, "an item is encrypted with newer keys than the vault has", None)
    check_wraps(shown.wraps, shown.generation, shown.vault_id)
    if missing := used - keys.keys():  # the caller has opened the other wraps
        raise _mismatch(shown, f"version {min(missing)} of its keys is missing", None)
    if shown.overview.revision > shown.n:
        raise _mismatch(shown, "its name is newer than the vault", None)


def _check_untouched(shown: Shown, keys: Keys) -> None:
    """Check a vault without entries: no entry commits to its overview, so it must open."""
    made = Waypoint(0, first_head(shown.vault_id), FIRST_GENERATION)
    if shown.waypoint != made:
        raise ChainBroken(
            f"The server shows no log of changes for vault {shown.vault_id}, which is not new: a "
            f"new vault is at {made}, the server shows {shown.waypoint}.",
            vault_id=shown.vault_id,
        )
    sealed = Fields(shown.vault, "vault", AnswerInvalid).binary("overview")
    bound = aad.vault_overview(shown.vault_id, 0, FIRST_GENERATION)
    open_sealed(keys[FIRST_GENERATION].vk, bound, sealed, f"the name of vault {shown.vault_id}")


def _check_last(shown: Shown, last: SignedEntry) -> None:
    """Check that the last entry leads to the claimed head, and matches its item."""
    if last.waypoint != shown.waypoint:
        raise ChainBroken(
            f"The server contradicts itself about vault {shown.vault_id}: the newest change in its "
            f"log leads to {last.waypoint}, but it shows {shown.waypoint}.",
            vault_id=shown.vault_id,
        )
    written = {item_id for item_id, held in shown.items.items() if held.revision == shown.n}
    logged = {last.entry.item_id} if last.entry.op in CONTENT_OPS else set()
    if written != logged:
        raise _mismatch(shown, "its newest item is not the one that was changed last", None)


def _check_shown(state: VaultState, shown: Shown, replay: Replay) -> None:
    """Check that the rows and removals are exactly those in the log."""
    check_wraps(shown.wraps, shown.generation, shown.vault_id)
    for item_id, logged in replay.touched.items():
        row = shown.rows.get(item_id)
        if logged.state is None:
            fits = shown.removed.get(item_id) == logged.revision
        else:
            fits = row is not None and LoggedItem.of(row.held) == logged
        if not fits:
            what = f"item {item_id} is missing, or is not the one that your devices wrote"
            raise _mismatch(shown, what, state.waypoint)
    for item_id, row in shown.rows.items():
        if item_id not in replay.touched and state.items.get(item_id) != row.held:
            raise _mismatch(
                shown, f"item {item_id} was changed, but not by one of your devices", state.waypoint
            )
    for item_id in shown.removed:
        if item_id not in replay.touched and item_id in state.items:
            raise _mismatch(
                shown,
                f"item {item_id} is missing, but none of your devices removed it",
                state.waypoint,
            )
    if shown.overview != replay.overview:
        raise _mismatch(shown, "its name is not the one that your devices gave it", state.waypoint)


def _moved(
    state: VaultState, shown: Shown, replay: Replay, keys: Keys, known: Waypoint | None
) -> VaultState:
    """Return the state at the end of the chain, after checking the sum over its items."""
    items = dict(state.items)
    for item_id, logged in replay.touched.items():
        if logged.state is None:
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
    for item_id in replay.touched:
        if before := state.items.get(item_id):
            total -= item_tag(lk, item_id, before)
        if after := items.get(item_id):
            total += item_tag(lk, item_id, after)
    return total % SUM_MODULUS


def synced(state: VaultState, shown: Shown) -> Synced:
    """Return a state together with what the server returned for it."""
    return Synced(
        state=state,
        rows={item_id: row.json for item_id, row in shown.rows.items()},
        removed=frozenset(shown.removed),
        vault=shown.vault,
        heads={signed.entry.n: signed.head for signed in shown.entries},
    )


def _rolled_back(known: Waypoint, shown: Shown) -> RolledBack:
    return RolledBack(
        f"The server shows an older state of vault {shown.vault_id}: one of your devices saw "
        f"{known}, the server shows {shown.waypoint}.",
        vault_id=shown.vault_id,
    )


def _forked(known: Waypoint, shown: Shown) -> ChainBroken:
    return ChainBroken(
        f"The server shows two histories of vault {shown.vault_id}: your devices saw {known}, now "
        f"it shows {shown.waypoint}.",
        vault_id=shown.vault_id,
    )


def _mismatch(shown: Shown, what: str, held: Waypoint | None) -> StateMismatch:
    ours = f"this device has {held}" if held else "this device has no copy"
    return StateMismatch(
        f"The server's data of vault {shown.vault_id} does not match the log of changes that "
        f"your devices signed: {what} ({ours}, the server shows {shown.waypoint}).",
        vault_id=shown.vault_id,
    )
