"""Find items by title without opening all items of a vault; stores keyed hashes, no titles."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from vaultr.client.crypto.primitives import hmac_sha256
from vaultr.client.log.entries import Waypoint
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.name_matching import as_compared, meant
from vaultr.client.vaults.reader import Item, Reader

_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class _Titles:
    """The active items of a vault at one waypoint, by the hash of their titles."""

    at: Waypoint
    items: Mapping[bytes, Sequence[UUID]]


class TitleIndex:
    """Remembers which items have which title, until the vault changes.

    The key of the hashes is random and never leaves this process. Threads can share an index.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._vaults: dict[UUID, _Titles] = {}

    def find(self, vault: CachedVault, title: str) -> list[Item]:
        """Return the active items with a title; if there are none, those that differ in case."""
        known = self._vaults.get(vault.id)
        if known is None or known.at != vault.waypoint:
            known = self._vaults[vault.id] = self._titles(vault)
        ids = known.items.get(self._hash(title), ())
        return meant(title, ((item.title, item) for item in self._opened(vault, ids)))

    def _opened(self, vault: CachedVault, ids: Sequence[UUID]) -> list[Item]:
        return [self._reader.item(vault, item_id) for item_id in ids]

    def _titles(self, vault: CachedVault) -> _Titles:
        items: dict[bytes, list[UUID]] = {}
        for item in self._reader.items([vault], ("active",)):
            if item.opens:
                items.setdefault(self._hash(item.title), []).append(item.id)
        return _Titles(vault.waypoint, items)

    def _hash(self, title: str) -> bytes:
        return hmac_sha256(self._key, as_compared(title).encode(errors="surrogatepass"))
