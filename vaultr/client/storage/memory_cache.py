"""The interface of all vault caches, and a cache in memory for a machine without a folder."""

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol
from uuid import UUID

from vaultr.client.storage.cache import CachedVault


class VaultCache(Protocol):
    """Stores vaults: their sealed values and verified states."""

    def ids(self) -> list[UUID]:
        """List the cached vaults."""
        ...

    def load(self, vault_id: UUID) -> CachedVault | None:
        """Return one vault."""
        ...

    def save(self, vault: CachedVault, new_details: Mapping[UUID, bytes]) -> CachedVault:
        """Keep one vault, with the sealed details of new and replaced rows."""
        ...

    def forget(self, vault_id: UUID) -> None:
        """Forget a vault."""
        ...

    def detail(self, vault: CachedVault, item_id: UUID) -> bytes:
        """Return one sealed detail."""
        ...


class LockedFolder(Protocol):
    """Data that several processes must not change at the same time."""

    def locked(self) -> AbstractContextManager[None]:
        """Lock it for this process; may be nested."""
        ...


class NoFolder:
    """Replaces a folder when nothing is stored."""

    def locked(self) -> AbstractContextManager[None]:
        """Return a context manager that does nothing: no other process shares this memory."""
        return contextlib.nullcontext()


class MemoryCache:
    """The vaults of one process, still sealed."""

    def __init__(self) -> None:
        self._vaults: dict[UUID, CachedVault] = {}
        self._details: dict[UUID, dict[UUID, bytes]] = {}

    def ids(self) -> list[UUID]:
        """List the cached vaults."""
        return list(self._vaults)

    def load(self, vault_id: UUID) -> CachedVault | None:
        """Return one vault."""
        return self._vaults.get(vault_id)

    def save(self, vault: CachedVault, new_details: Mapping[UUID, bytes]) -> CachedVault:
        """Keep one vault, with the sealed details of new and replaced rows."""
        details = {**self._details.get(vault.id, {}), **new_details}
        # A new dictionary, so that a reader of the old vault still finds its details.
        self._details[vault.id] = {each: details[each] for each in vault.rows}
        self._vaults[vault.id] = vault
        return vault

    def forget(self, vault_id: UUID) -> None:
        """Forget a vault."""
        self._vaults.pop(vault_id, None)
        self._details.pop(vault_id, None)

    def detail(self, vault: CachedVault, item_id: UUID) -> bytes:
        """Return one sealed detail."""
        return self._details[vault.id][item_id]
