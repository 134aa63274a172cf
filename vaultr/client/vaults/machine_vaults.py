"""The vaults that a machine may open, kept at least as new as the heads in its wraps.

Source: protocol.md section 5, Machines.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from vaultr.client.crypto.keys import Keys, lk_of, merge_keys
from vaultr.client.crypto.machine_keys import MachineKeys, MachineToken, unwrap_for_machine
from vaultr.client.errors import (
    AnswerInvalid,
    NotFound,
    RolledBack,
    SealBroken,
    StateMismatch,
    VaultrError,
)
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.client.log.pages import read_wraps
from vaultr.client.log.state import total_of
from vaultr.client.storage.cache import CachedVault
from vaultr.client.transport.responses import fields_of
from vaultr.client.transport.sender import RequestSender
from vaultr.client.vaults.holder import HolderStore
from vaultr.client.vaults.reader import Reader, by_name
from vaultr.client.vaults.sync import Syncer
from vaultr.client.vaults.vaults import SyncReport

_NO_VAULT: Final = (
    "This machine has access to no vault. To add one, its owner runs: vaultr machines edit"
)


class NoAccess(VaultrError):
    """The owner has removed this machine's access to its vaults."""


class MachineKeyring:
    """The opened keys of a machine's vaults, and the newest heads in their wraps."""

    def __init__(self, token: MachineToken) -> None:
        self._machine_id = token.machine_id
        self._kek = token.kek
        self._opened: dict[UUID, dict[int, MachineKeys]] = {}
        # The last wrap of each generation with its content, because every read needs it.
        self._unwrapped: dict[tuple[UUID, int], tuple[bytes, MachineKeys]] = {}

    def open(self, vault_id: UUID, wraps: Mapping[int, bytes]) -> Keys:
        """Open all ``wraps`` of a vault, and compare them with the keys opened before.

        :raises StateMismatch: a generation has a different key than before.
        :raises SealBroken: a wrap does not open: the token was replaced, or it was altered.
        """
        held = self._opened.get(vault_id, {})
        opened = {
            generation: self._unwrap(vault_id, generation, sealed)
            for generation, sealed in wraps.items()
        }
        keys = merge_keys(
            vault_id,
            {generation: each.keys for generation, each in opened.items()},
            {generation: each.keys for generation, each in held.items()},
        )
        newest = {
            generation: max(each, held.get(generation, each), key=lambda known: known.n)
            for generation, each in opened.items()
        }
        self._opened[vault_id] = {**held, **newest}
        return keys

    def _unwrap(self, vault_id: UUID, generation: int, sealed: bytes) -> MachineKeys:
        """Open a wrap, unless it is the one opened last."""
        last = self._unwrapped.get((vault_id, generation))
        if last is not None and last[0] == sealed:
            return last[1]
        found = unwrap_for_machine(self._kek, self._machine_id, vault_id, generation, sealed)
        self._unwrapped[vault_id, generation] = (sealed, found)
        return found

    def head_of(self, vault_id: UUID) -> Waypoint | None:
        """Return the highest head in the opened wraps; None if none was opened."""
        opened = self._opened.get(vault_id)
        if not opened:
            return None
        newest = max(opened.values(), key=lambda each: each.n)
        # The owner wraps all generations together, and a new one in the entry that begins it.
        generation = max(each for each, known in opened.items() if known.n == newest.n)
        return Waypoint(newest.n, newest.head, generation)

    def keys_due(self, vault_id: UUID, generation: int) -> bool:
        """Return False: only the owner's devices know which keys must be replaced."""
        return False


@dataclass(frozen=True, slots=True)
class MachineAccess:
    """A machine while its token is in memory. It holds the keys of its vaults.

    :ivar account_id: the machine's id, which is the author of what it writes.
    :ivar profile: the keyring, which has the heads seen by the owner.
    """

    store: HolderStore
    session: RequestSender
    account_id: UUID
    profile: MachineKeyring = field(repr=False)


class MachineVaults:
    """All vaults of one machine.

    :ivar expires_at: when the machine expires; None before the server was asked.
    """

    def __init__(self, access: MachineAccess) -> None:
        self._access = access
        self._session = access.session
        self._store = access.store
        self._cache = access.store.cache
        self._keyring = access.profile
        self._hidden: set[UUID] = set()
        self._listed: frozenset[UUID] | None = None
        self.syncer = Syncer(access.session, self._cache, self._keyring)
        self.reader = Reader(self._cache, self._keyring, lambda: self._hidden)
        self.notices: list[str] = []
        self.expires_at: datetime | None = None

    def reader_with(self, keyring: MachineKeyring) -> Reader:
        """Return a reader of the same copies for another thread, with its own keyring."""
        return Reader(self._cache, keyring, lambda: self._hidden)

    def sync_all(self, *, list_again: bool = False) -> list[SyncReport]:
        """Sync all vaults; with a cache, this takes one conditional request for each.

        :param list_again: ask which vaults this machine may open, even if some are cached.
        :raises IntegrityError: a vault is older than the state that this machine or its owner has
            seen, or its chain does not contain that head.
        :raises NoAccess: the machine has no access to any vault now.
        """
        with self._store.folder.locked():
            if list_again or not self._cache.ids() or not self._all_open():
                self._list()
            reports = [report for each in self._visible() for report in self._synced(each)]
        if not reports:
            raise NoAccess(_NO_VAULT)
        return sorted(reports, key=by_name)

    def sync_one(self, vault_id: UUID) -> CachedVault:
        """Sync one vault."""
        with self._store.folder.locked():
            return self.syncer.sync(vault_id, self._keyring.head_of(vault_id)).vault

    @property
    def is_listed(self) -> bool:
        """Whether the server was asked which vaults the machine may open."""
        return self._listed is not None

    def _visible(self) -> list[UUID]:
        return sorted({*self._cache.ids(), *(self._listed or ())} - self._hidden)

    def _all_open(self) -> bool:
        """Check whether the cached wraps open; they do not after a new token."""
        try:
            for vault_id in self._cache.ids():
                held = self._cache.load(vault_id)
                if held is not None:
                    self._keyring.open(vault_id, held.wraps)
        except SealBroken:
            return False
        return True

    def _list(self) -> None:
        """Request the vaults and their wraps, which show how new each vault must be."""
        fields = fields_of(self._session.send("GET", "/machines/self"), "machine")
        if fields.uuid("id") != self._access.account_id:
            raise AnswerInvalid("it is about another machine than the one that asked")
        self.expires_at = fields.time("expires_at")
        listed = {each.uuid("vault_id"): each for each in fields.objects("vaults")}
        for vault_id, shown in listed.items():
            wraps = read_wraps(shown, vault_id)
            keys = self._keyring.open(vault_id, wraps)
            held = self._cache.load(vault_id)
            if held is not None:
                self._renew_wraps(held, wraps, keys)
        self._listed = frozenset(listed)
        self._hidden = {*self._cache.ids()} - listed.keys()

    def _renew_wraps(self, held: CachedVault, wraps: Mapping[int, bytes], keys: Keys) -> None:
        """Store new wraps of a cached vault; the sum over its items proves that the keys match."""
        state = held.state
        if not held.wraps.keys() <= wraps.keys():
            raise RolledBack(
                f"The server withholds keys of vault {held.id} that this machine has.",
                vault_id=held.id,
            )
        lk = lk_of(keys, state.generation, held.id)
        if total_of(lk, state.items, state.overview) != state.total:
            raise StateMismatch(
                f"The server returned other keys of vault {held.id} than before.",
                vault_id=held.id,
            )
        if wraps != held.wraps:
            self._cache.save(replace(held, wraps=dict(wraps)), {})

    def _synced(self, vault_id: UUID) -> list[SyncReport]:
        """Sync a vault; return nothing if the machine has no access to it any more."""
        if vault_id in self._hidden:
            return []
        try:
            synced = self.syncer.sync(vault_id, self._keyring.head_of(vault_id))
        except RolledBack as error:
            # A vault without access looks like one that the server lost.
            if not isinstance(error.__cause__, NotFound):
                raise
            self._list()
            if vault_id not in self._hidden:
                raise
            self.notices.append(f"This machine has no access to vault {vault_id} any more.")
            return []
        vault = synced.vault
        return [
            SyncReport(
                id=vault_id,
                name=self.reader.vault_name(vault),
                n=vault.state.n,
                head=short_head(vault.state.head),
                received=synced.received,
                removed=synced.removed,
            )
        ]
