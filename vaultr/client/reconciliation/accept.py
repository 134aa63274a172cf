"""Accepts, by hand, a server state that does not continue this device's history.

For a server that was restored from an older backup, or lost its newest writes. The device's copy is
set aside before it is replaced. Items that the server lost, or has in an older state, are written
again, so that nothing is lost that one of the owner's devices still has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from vaultr.client.crypto.keys import open_wraps
from vaultr.client.errors import AnswerInvalid, SealBroken, StateMismatch, VaultrError
from vaultr.client.log import accept_unvouched
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.client.reconciliation.replay import Replayer
from vaultr.client.reconciliation.replay_plan import Replayed
from vaultr.client.reconciliation.snapshot import Snapshot, snapshot
from vaultr.client.storage import rewrapped_keys
from vaultr.client.storage.cache import CachedVault
from vaultr.client.storage.profile import Profile
from vaultr.client.strict_json import Fields, Json
from vaultr.client.vaults.reader import overview_of
from vaultr.client.vaults.sync import merged
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import ask_list
from vaultr.client.vaults.vault_writes import VaultWriter
from vaultr.client.vaults.vaults import Vaults
from vaultr.client.vaults.write_intents import OpenVault
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.entries import first_head


class NotShown(VaultrError):
    """The server's state was not listed to the owner, or has changed since."""

    advice = "First list it with `vaultr sync --explain`, then run `vaultr sync --accept`."


@dataclass(frozen=True, slots=True)
class Accepted:
    """One vault whose state was accepted.

    :ivar again: the items that were written again.
    :ivar repaired: whether this client appended a repair entry to vouch for the set.
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
    vouched: bool


class Acceptor:
    """Accepts server states for one unlocked account."""

    def __init__(
        self, account: UnlockedAccount, vaults: Vaults, writer: Writer, vault_writer: VaultWriter
    ) -> None:
        self._account = account
        self._store = account.store
        self._vaults = vaults
        self._vault_writer = vault_writer
        self._replayer = Replayer(account, vaults, writer, vault_writer)

    def begun(self) -> bool:
        """Check whether an acceptance was interrupted."""
        return bool(self._store.aside.ids())

    def accept(self) -> list[Accepted]:
        """Accept the server's state of every vault, and write again what it lacks.

        :raises NotShown: the state differs from the one that was listed; nothing was changed.
        :raises StepUpRequired: no entry vouches for a set, and a repair needs the password again;
            nothing was changed on this device.
        :raises SealBroken: such a set has items that nobody can open; nothing was changed.
        """
        with self._store.folder.locked():
            profile = self._account.shown_profile()
            listed = {_id(each): each for each in ask_list(self._account.session)}
            seen = self._seen(snapshot(profile, listed.values(), {}))
            deleted = {*self._account.deleted(), *profile.deleted}
            taken = {each: self._take(each, seen) for each in sorted(listed.keys() - deleted)}
            self._set_aside(deleted)
            lost = {*self._store.aside.ids()} - listed.keys() - deleted
            due = self._due(taken)
            for each in taken.values():
                self._keep(each)
            places = {each: one.vault.waypoint for each, one in taken.items()}
            self._write_profile(profile, places, deleted, lost, due)
            self._recreate_lost(lost)
        repaired = {each for each, one in taken.items() if not one.vouched}
        return self._finish(repaired, {*due})

    def finish(self) -> list[Accepted]:
        """Resume an interrupted acceptance."""
        return self._finish(set(), set())

    def _finish(self, repaired: set[UUID], keys_lost: set[UUID]) -> list[Accepted]:
        accepted = []
        held = {vault.id for vault in self._vaults.reader.vaults()}
        aside = {*self._store.aside.ids()}
        for vault_id in sorted(held | aside):
            again = self._replayer.write(vault_id) if vault_id in aside & held else []
            if vault_id in held:
                vault = self._vaults.reader.vault(vault_id)
                name = self._vaults.reader.vault_name(vault)
                facts = (vault_id in repaired, vault_id in keys_lost)
                place = (vault.state.n, short_head(vault.state.head))
                accepted.append(Accepted(vault_id, name, *place, tuple(again), *facts))
        for vault_id in aside:
            self._store.aside.forget(vault_id)
        self._store.forget_seen()
        return accepted

    def _seen(self, shown: Snapshot) -> Snapshot:
        """Return the listed snapshot, if the server still shows the same profile and heads."""
        stored = self._store.seen()
        seen = None if stored is None else Snapshot.from_json(stored)
        if seen is None or not seen.has_heads_of(shown):
            raise _not_shown()
        return seen

    def _take(self, vault_id: UUID, seen: Snapshot) -> _AcceptedSet:
        """Verify one set as a new device would, and repair it if no entry vouches for it."""
        shown = self._vaults.syncer.show_all(vault_id)
        account = self._account
        keys = open_wraps(account.wrap_key, account.account_id, vault_id, shown.wraps)
        synced, vouched = accept_unvouched.take(shown, keys)
        vault, details = merged(None, synced)
        if not vouched:
            if not seen.has_set(shown):
                raise _not_shown()
            self._check_opening(OpenVault(vault, keys, details.__getitem__))
            vault = self._vault_writer.repair(vault, keys)
        return _AcceptedSet(vault, details, vouched)

    def _check_opening(self, open_vault: OpenVault) -> None:
        """Check that a repair would not vouch for an item that nobody can open."""
        held = self._held(open_vault.vault.id)
        broken = {}
        for item_id in open_vault.state.items:
            try:
                open_vault.opened(item_id)
            except (SealBroken, StateMismatch) as error:
                if held is None or item_id not in held.state.items:
                    broken[item_id] = str(error)
        if broken:
            raise accept_unvouched.not_opening(broken)

    def _held(self, vault_id: UUID) -> CachedVault | None:
        return self._store.aside.load(vault_id) or self._store.cache.load(vault_id)

    def _set_aside(self, deleted: set[UUID]) -> None:
        """Set the cached vaults aside; copies that were set aside before are older, and stay."""
        cache, aside = self._store.cache, self._store.aside
        for vault_id in {*cache.ids()} - {*aside.ids()} - deleted:
            vault = cache.load(vault_id)
            if vault is not None:
                details = {item_id: cache.detail(vault, item_id) for item_id in vault.rows}
                aside.save(replace(vault, volume=1), details)

    def _due(self, taken: Mapping[UUID, _AcceptedSet]) -> dict[UUID, int]:
        """Return the vaults whose keys had been replaced, or must be: rotate them again."""
        due = {}
        for vault_id, one in taken.items():
            held, generation = self._held(vault_id), one.vault.state.generation
            if held is not None and held.state.generation > generation:
                due[vault_id] = generation
            elif self._account.profile.keys_due(vault_id, generation):
                due[vault_id] = self._account.profile.due_generation(vault_id)
        return due

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
        """Write the accepted heads into the profile, over the older one of the server."""
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
