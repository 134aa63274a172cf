"""The interface of a device or machine whose vaults are open, for reading and writing items."""

from typing import Protocol

from vaultr.client.items.edit import Editor
from vaultr.client.items.history import History
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.item_search import Finder
from vaultr.client.vaults.reader import Item, Reader
from vaultr.client.vaults.writer import Writer


class OpenVaults(Protocol):
    """Vaults whose keys are in memory."""

    @property
    def reader(self) -> Reader:
        """Opens items."""
        ...

    @property
    def finder(self) -> Finder:
        """Finds items by name."""
        ...

    @property
    def writer(self) -> Writer:
        """Writes changes."""
        ...

    @property
    def editor(self) -> Editor:
        """Adds and edits items."""
        ...

    @property
    def history(self) -> History:
        """Earlier versions of items."""
        ...

    @property
    def notices(self) -> list[str]:
        """Messages for the user that are not errors."""
        ...

    def prepare(self, *, offline: bool) -> None:
        """Bring all vaults up to date; with ``offline``, only read the copies."""
        ...

    def chosen(self, ref: str | None) -> list[CachedVault]:
        """Return the vault with this id or name, or all vaults."""
        ...

    def destination(self, ref: str | None) -> CachedVault:
        """Return the vault to add items to."""
        ...

    def first_seen(self, vault: CachedVault, item: Item) -> Item | None:
        """Open an item as this device held it before its first request to the server."""
        ...


class VaultDevice(Protocol):
    """A device or machine whose vaults can be opened."""

    @property
    def unlocked(self) -> OpenVaults | None:
        """The vaults while the keys are in this process's memory."""
        ...

    def require_unlocked(self) -> OpenVaults:
        """Return the unlocked vaults.

        :raises Locked: the keys are not in memory.
        """
        ...
