"""What reading and writing needs from a holder of vault keys: the owner's account, or a machine."""

from typing import Protocol
from uuid import UUID

from vaultr.client.log.entries import Waypoint
from vaultr.client.storage.cache import CachedVault
from vaultr.client.storage.memory_cache import LockedFolder, VaultCache
from vaultr.client.transport.sender import RequestSender
from vaultr.client.vaults.reader import Reader
from vaultr.client.vaults.sync import Syncer


class KnownState(Protocol):
    """What a holder knows about its vaults, besides its cache."""

    def head_of(self, vault_id: UUID) -> Waypoint | None:
        """Return the last known head of a vault; None if none is known."""
        ...

    def keys_due(self, vault_id: UUID, generation: int) -> bool:
        """Check whether the keys of this generation must be replaced before a write."""
        ...


class HolderStore(Protocol):
    """Where a holder stores its copies."""

    @property
    def folder(self) -> LockedFolder:
        """The folder that several processes share."""
        ...

    @property
    def cache(self) -> VaultCache:
        """The copies of the vaults."""
        ...


class Holder(Protocol):
    """The owner's account or a machine, while its keys are in memory."""

    @property
    def account_id(self) -> UUID:
        """The author of what it writes."""
        ...

    @property
    def session(self) -> RequestSender:
        """What sends its requests."""
        ...

    @property
    def store(self) -> HolderStore:
        """Where it keeps its copies."""
        ...

    @property
    def profile(self) -> KnownState:
        """What it knows of its vaults."""
        ...


class SyncedVaults(Protocol):
    """The vaults of a holder, with their sync."""

    @property
    def reader(self) -> Reader:
        """Opens their items."""
        ...

    @property
    def syncer(self) -> Syncer:
        """Fetches changes."""
        ...

    @property
    def notices(self) -> list[str]:
        """Messages for the user that are not errors."""
        ...

    def sync_one(self, vault_id: UUID) -> CachedVault:
        """Sync one vault."""
        ...
