"""Accept, by the owner's decision, a server state that does not continue this device's history.

Use it for a server that was restored from an older backup, or lost its newest writes. The device's
copy is set aside before it is replaced. Items that the server lost, or has in an older state, are
written again, so that nothing is lost that one of the owner's devices still has.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from vaultr.client.crypto.keys import open_wraps
from vaultr.client.errors import AnswerInvalid, VaultrError
from vaultr.client.log import unvouched
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.client.log.pages import Shown
from vaultr.client.log.state import VaultState
from vaultr.client.log.verify import take_full
from vaultr.client.reconciliation import unvouched_set
from vaultr.client.reconciliation.common_history import first_entry, read_whole_log
from vaultr.client.reconciliation.replay import Replayer
from vaultr.client.reconciliation.replay_plan import Replayed
from vaultr.client.reconciliation.snapshot import Snapshot, snapshot
from vaultr.client.reconciliation.unvouched_set import NotAccepted, Unvouched
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.cache import CachedVault
from vaultr.client.storage.profile import Profile
from vaultr.client.strict_json import Fields, Json
from vaultr.client.vaults.key_rotation import CannotMove, Rotator
from vaultr.client.vaults.reader import overview_of
from vaultr.client.vaults.sync import merged
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import ask_list
from vaultr.client.vaults.vault_writes import VaultWriter
from vaultr.client.vaults.vaults import Vaults
from vaultr.client.vaults.write_intents import OpenVault
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.encoding import b64
from vaultr.protocol.entries import first_head


class NotShown(VaultrError):
    """The server's state was not listed to the owner, or has changed since."""

    advice = "First list it with `vaultr sync --explain`, then run `vaultr sync --accept`."


@dataclass(frozen=True, slots=True)
class Accepted:
    """One vault whose state was accepted.

    :ivar again: the items that were written again.
    :ivar repaired: whether this client appended a repair entry that commits to the set.
    :ivar keys_lost: whether the vault is under older keys than before, and must be rotated.
    """

    vault_id: UUID
    name: str
    n: int
    head: str
    again: tuple[Replayed, ...]
    repaired: bool
    keys_lost: bool


@dataclass(frozen=True, slots=True)
class _AcceptedSet:
    """The accepted set of one vault, before it is stored."""

    vault: CachedVault
    details: Mapping[UUID, bytes] = field(repr=False)
    repaired: bool
    again: tuple[Replayed, ...] = ()


class Acceptor:
    """Accepts server states for one unlocked account."""

    def __init__(
        self,
        account: UnlockedAccount,
        vaults: Vaults,
        writer: Writer,
        vault_writer: VaultWriter,
        rotator: Rotator,
    ) -> None:
        self._account = account
        self._store = account.store
        self._vaults = vaults
        self._writer = writer
        self._rotator = rotator
        self._vault_writer = vault_writer
        self._replayer = Replayer(account, vaults, writer, vault_writer)

    def begun(self) -> bool:
        """Check whether an acceptance was interrupted."""
        return bool(self._store.aside.ids())

    def accept(self) -> list[Accepted]:
        """Accept the server's state of every vault, and write the items again that it lacks.

        :raises NotShown: the state differs from the one that was listed; nothing was changed.
        :raises StepUpRequired: a repair, or rotating keys that others may know, needs the password
            again. Then this device's copies stay set aside, and :meth:`finish` resumes.
        :raises NotAccepted: the set has content that no device wrote and this device cannot
            replace; nothing was changed.
        """
        with self._store.folder.locked():
            profile = self._account.shown_profile()
            listed = {_id(each): each for each in ask_list(self._account.session)}
            seen = self._seen(snapshot(profile, listed.values(), {}))
            deleted = {*self._account.deleted(), *profile.deleted}
            taken = {
                each: self._take(listed[each], seen) for each in sorted(listed.keys() - deleted)
            }
            self._set_aside(deleted)
            lost = {*self._store.aside.ids()} - listed.keys() - deleted
            due = self._due(taken)
            for each in taken.values():
                self._keep(each)
            places = {each: one.vault.waypoint for each, one in taken.items()}
            self._write_profile(profile, places, deleted, lost, due)
            self._recreate_lost(lost)
        return self._finish(taken, {*due})

    def finish(self) -> list[Accepted]:
        """Resume an interrupted acceptance."""
        return self._finish({}, set())

    def _finish(self, taken: Mapping[UUID, _AcceptedSet], keys_lost: set[UUID]) -> list[Accepted]:
        accepted = []
        held = {vault.id for vault in self._vaults.reader.vaults()}
        aside = {*self._store.aside.ids()}
        for vault_id in sorted(held):
            # First, so that newer content is not sealed under keys that others may know.
            rotating = self._begin_due_rotation(vault_id)
            again = self._replayer.write(vault_id) if vault_id in aside else []
            self._store.aside.forget(vault_id)
            if rotating:
                self._rotate(vault_id)
            one = taken.get(vault_id)
            vault = self._vaults.reader.vault(vault_id)
            accepted.append(
                Accepted(
                    vault_id,
                    self._vaults.reader.vault_name(vault),
                    vault.state.n,
                    short_head(vault.state.head),
                    (*(one.again if one else ()), *again),
                    one is not None and one.repaired,
                    rotating or vault_id in keys_lost,
                )
            )
        for vault_id in aside:
            self._store.aside.forget(vault_id)
        self._store.forget_seen()
        return accepted

    def _begin_due_rotation(self, vault_id: UUID) -> bool:
        def attempt(vault: CachedVault) -> CachedVault:
            if not profile.keys_due(vault_id, vault.state.generation):
                return vault  # another device came first
            return self._writer.begin_generation(vault)

        profile, before = self._account.profile, self._vaults.reader.vault(vault_id).state
        if not profile.keys_due(vault_id, before.generation):
            return False
        self._writer.with_retries(vault_id, attempt)
        return True

    def _rotate(self, vault_id: UUID) -> None:
        """Move all other items to the new keys.

        Call it after the set-aside items are written again: a moved item would look newer than they
        are.
        """
        # The new keys are in use, even if items remain that nobody can open.
        with contextlib.suppress(CannotMove):
            self._rotator.rotate(vault_id, restart=False, progress=None)

    def _seen(self, shown: Snapshot) -> Snapshot:
        """Return the listed snapshot, if the server still shows the same profile and heads."""
        stored = self._store.seen()
        seen = None if stored is None else Snapshot.from_json(stored)
        if seen is None or not seen.has_heads_of(shown):
            raise _not_shown()
        return seen

    def _take(self, listed: Json, seen: Snapshot) -> _AcceptedSet:
        """Verify one set as a new device would; if no entry commits to it, add one that does."""
        vault_id = _id(listed)
        shown = self._vaults.syncer.show_all(vault_id)
        # Only the listed state was shown to the owner; an entry may also commit to another state.
        if (shown.n, b64(shown.head)) != (listed["revision"], listed["head"]):
            raise _not_shown()
        account = self._account
        keys = open_wraps(account.wrap_key, account.account_id, vault_id, shown.wraps)
        synced, vouched = unvouched.take(shown, keys)
        vault, details = merged(None, synced)
        if vouched:
            return _AcceptedSet(vault, details, repaired=False)
        if not seen.has_set(shown):
            raise _not_shown()
        found = self._unvouched(OpenVault(vault, keys, details.__getitem__), shown)
        altered = found.altered()
        if not altered:
            vault = self._vault_writer.repair(vault, keys)
            return _AcceptedSet(vault, details, repaired=True)
        state = self._write_altered(found, altered)
        shown = self._vaults.syncer.show_all(vault_id)
        if shown.waypoint != state.waypoint:
            raise _not_shown()
        vault, details = merged(None, take_full(shown, keys, None))
        again = [Replayed(each, unvouched_set.WHY, ()) for each in altered]
        return _AcceptedSet(vault, details, repaired=False, again=tuple(again))

    def _unvouched(self, theirs: OpenVault, shown: Shown) -> Unvouched:
        vault_id, session = theirs.vault.id, self._account.session
        if shown.head_entry is None:
            raise AssertionError("unvouched.take checked it")
        history = read_whole_log(
            theirs.vault,
            shown.head_entry,
            theirs.keys,
            since=lambda n: self._vaults.syncer.show_since(vault_id, n),
            first=lambda item_id: first_entry(session, vault_id, item_id),
        )
        return Unvouched(theirs, self._ours(vault_id), history)

    def _ours(self, vault_id: UUID) -> OpenVault | None:
        """Open this device's copy, which was set aside or is still the cached one."""
        for place in (self._store.aside, self._store.cache):
            vault = place.load(vault_id)
            if vault is not None:
                account = self._account
                keys = open_wraps(account.wrap_key, account.account_id, vault_id, vault.wraps)
                return OpenVault(vault, keys, partial(place.detail, vault))
        return None

    def _write_altered(self, found: Unvouched, altered: Sequence[UUID]) -> VaultState:
        """Write the altered items again from this device's copy, and return the resulting state."""
        theirs = found.shown
        if self._has_replaced_keys(theirs.vault):
            raise NotAccepted(
                f"The server altered items of vault {theirs.vault.id}, and also shows old keys of "
                "this vault that one of your devices has replaced. Vaultr cannot accept both.",
                vault_id=theirs.vault.id,
            )
        left = [*altered]
        for batch in found.batches(altered):
            changes = found.changes(batch, theirs.state.n + 1)
            state = self._writer.write_over(theirs.vault, theirs.keys, changes, unvouched=left)
            left = left[len(batch) :]
            theirs = replace(theirs, vault=replace(theirs.vault, state=state))
            found = replace(found, shown=theirs)
        return theirs.state

    def _has_replaced_keys(self, vault: CachedVault) -> bool:
        """Check whether a vault shows keys that were or must be replaced."""
        held, generation = self._held(vault.id), vault.state.generation
        known, profile = self._account.profile.head_of(vault.id), self._account.profile
        newest = max(
            held.state.generation if held is not None else 0, known.generation if known else 0
        )
        return newest > generation or profile.keys_due(vault.id, generation)

    def _held(self, vault_id: UUID) -> CachedVault | None:
        return self._store.aside.load(vault_id) or self._store.cache.load(vault_id)

    def _set_aside(self, deleted: set[UUID]) -> None:
        """Set the cached vaults aside; copies that were set aside earlier are older, and stay."""
        cache, aside = self._store.cache, self._store.aside
        for vault_id in {*cache.ids()} - {*aside.ids()} - deleted:
            vault = cache.load(vault_id)
            if vault is not None:
                details = {item_id: cache.detail(vault, item_id) for item_id in vault.rows}
                aside.save(replace(vault, volume=1), details)

    def _due(self, taken: Mapping[UUID, _AcceptedSet]) -> dict[UUID, int]:
        """Return the vaults whose keys were or must be replaced, and are rotated again."""
        generations = {each: one.vault.state.generation for each, one in taken.items()}
        return {
            each: generations[each]
            for each, one in taken.items()
            if self._has_replaced_keys(one.vault)
        }

    def _keep(self, taken: _AcceptedSet) -> None:
        vault = taken.vault
        before = self._store.cache.load(vault.id)
        volume = before.volume + 1 if before is not None else 1
        self._account.keyring.replace_keys(vault.id, vault.wraps)
        rewrapped_keys.forget(self._store.folder, vault.id)
        state = replace(vault.state, passed=vault.waypoint)
        self._store.cache.save(replace(vault, state=state, volume=volume), taken.details)

    def _write_profile(
        self,
        shown: Profile,
        places: Mapping[UUID, Waypoint],
        deleted: set[UUID],
        lost: set[UUID],
        due: Mapping[UUID, int],
    ) -> None:
        """Write the accepted heads to the profile, replacing the server's older one."""
        wanted = shown.of_vaults(places.keys() | deleted)
        for vault_id, waypoint in places.items():
            wanted = wanted.with_place(vault_id, waypoint)
        for vault_id in lost:
            wanted = wanted.with_place(vault_id, Waypoint(0, first_head(vault_id), 1))
        for vault_id in deleted:
            wanted = wanted.with_deleted(vault_id)
        self._account.replace_profile(shown, wanted.with_keys_due(due))

    def _recreate_lost(self, lost: set[UUID]) -> None:
        aside, account = self._store.aside, self._account
        for vault_id in sorted(lost):
            vault = aside.load(vault_id)
            if vault is not None:
                wraps = (account.wrap_key, account.account_id, vault_id, vault.wraps)
                overview = overview_of(vault, open_wraps(*wraps))
                rewrapped_keys.forget(self._store.folder, vault_id)
                self._vaults.recreate(vault_id, overview)


def _not_shown() -> NotShown:
    return NotShown(
        "The server shows a different state than the one that you listed. Nothing was changed."
    )


def _id(vault: Json) -> UUID:
    return Fields(vault, "vault", AnswerInvalid).uuid("id")
