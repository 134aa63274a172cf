"""The cache of vaults: sealed values and verified states.

A vault has one signed file, which is replaced as a whole, and one file of details.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from vaultr.client.log.entries import Waypoint
from vaultr.client.log.state import VaultState
from vaultr.client.storage import detail_file, rewrapped_keys
from vaultr.client.storage.private_folder import Folder
from vaultr.client.strict_json import Json
from vaultr.protocol.encoding import ID_PATTERN, b64, unb64
from vaultr.protocol.entries import item_content

_FOLDER: Final = "vaults"
_SPARE_BYTES: Final = 1 << 20
_VAULT_FILE: Final = re.compile(ID_PATTERN + r"\.vault")
_TRAIL_MOST: Final = 256

_Stamp = tuple[int, int, int]
# Format versions of the vault's file, and of the file with wraps under a new account key.
_Stamps = tuple[_Stamp, _Stamp | None]


@dataclass(frozen=True, slots=True)
class Row:
    """One sealed item: its overview as base64url, and the position of its detail."""

    overview: str = field(repr=False)
    created_at: str
    updated_at: str
    at: int
    length: int


@dataclass(frozen=True, slots=True)
class CachedVault:
    """The copy of one vault.

    :ivar wraps: the sealed keys by generation.
    :ivar overview: the vault's own sealed overview.
    :ivar trashed: when this device first saw each item in the trash, by its own clock.
    :ivar volume: the number of the file of details.
    :ivar trail: the last heads that this device has seen, by revision. After a server is restored
        from a backup, they show where the two histories diverge.
    :ivar synced_at: when the server last showed this state; None before the first sync.
    """

    state: VaultState
    wraps: Mapping[int, bytes] = field(repr=False)
    overview: bytes = field(repr=False)
    rows: Mapping[UUID, Row] = field(default_factory=dict, repr=False)
    trashed: Mapping[UUID, str] = field(default_factory=dict, repr=False)
    volume: int = 1
    synced_at: str | None = None
    trail: Mapping[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def id(self) -> UUID:
        """The vault's id."""
        return self.state.vault_id

    @property
    def waypoint(self) -> Waypoint:
        """The position in the vault's history."""
        return self.state.waypoint


class Cache:
    """The vaults in one folder.

    :param place: the folder within ``folder``.
    """

    def __init__(self, folder: Folder, place: str = _FOLDER) -> None:
        self._folder = folder
        self._place = place
        self._loaded: dict[UUID, tuple[_Stamps, CachedVault]] = {}

    def ids(self) -> list[UUID]:
        """List the cached vaults; ignore other files in the folder."""
        return [
            UUID(name.removesuffix(".vault"))
            for name in self._folder.names(self._place)
            if _VAULT_FILE.fullmatch(name)
        ]

    def load(self, vault_id: UUID) -> CachedVault | None:
        """Return one vault; read its file only if it has changed.

        :raises FileAltered: the file is damaged or was altered.
        """
        name = self._vault_file(vault_id)
        stamp, rewrapped = self._stamp(name), self._stamp(rewrapped_keys.FILE)
        if stamp is None:
            return None
        known = self._loaded.get(vault_id)
        if known is not None and known[0] == (stamp, rewrapped):
            return known[1]
        value = self._folder.read_json(name)
        if value is None:
            return None
        try:
            vault = _from_json(value)
        except (KeyError, TypeError, ValueError):
            raise self._folder.altered(name) from None
        if rewrapped is not None:
            newer = rewrapped_keys.read(self._folder).get(vault_id, {})
            vault = replace(vault, wraps={**vault.wraps, **newer})
        self._loaded[vault_id] = ((stamp, rewrapped), vault)
        return vault

    def save(self, vault: CachedVault, new_details: Mapping[UUID, bytes]) -> CachedVault:
        """Write one vault, with the details of new and replaced rows."""
        with self._folder.locked():
            vault = replace(self._with_details(vault, new_details), trail=_trail(vault))
            name = self._vault_file(vault.id)
            text = json.dumps(_to_json(vault), separators=(",", ":"), ensure_ascii=False)
            self._folder.write_signed(name, text.encode())
            if vault.volume > 1:
                self._folder.remove(self._details_file(vault.id, vault.volume - 1))
            stamp, rewrapped = self._stamp(name), self._stamp(rewrapped_keys.FILE)
        if stamp is not None:
            self._loaded[vault.id] = ((stamp, rewrapped), vault)
        return vault

    def forget(self, vault_id: UUID) -> None:
        """Delete the copy of a vault that its owner has deleted."""
        with self._folder.locked():
            self._folder.remove(self._vault_file(vault_id))
            for name in self._folder.names(self._place):
                if name.startswith(f"{vault_id}."):
                    self._folder.remove(f"{self._place}/{name}")
        self._loaded.pop(vault_id, None)

    def detail(self, vault: CachedVault, item_id: UUID) -> bytes:
        """Read one sealed detail.

        :raises FileAltered: it does not match the verified state.
        """
        sealed = self._read_detail(vault, item_id)
        if sealed is None:
            # Another command may have moved the details since this vault was read.
            newer = self.load(vault.id)
            if newer is not None and newer.state.items.get(item_id) == vault.state.items[item_id]:
                sealed = self._read_detail(newer, item_id)
        if sealed is None:
            raise self._folder.altered(self._details_file(vault.id, vault.volume))
        return sealed

    def _read_detail(self, vault: CachedVault, item_id: UUID) -> bytes | None:
        row, held = vault.rows[item_id], vault.state.items[item_id]
        place = self._folder.path / self._details_file(vault.id, vault.volume)
        sealed = detail_file.read(place, row.at, row.length)
        if sealed is None:
            return None
        found = item_content(held.type, held.generation, unb64(row.overview), sealed)
        return sealed if found == held.content else None

    def _with_details(self, vault: CachedVault, new_details: Mapping[UUID, bytes]) -> CachedVault:
        rows = dict(vault.rows)
        name = self._details_file(vault.id, vault.volume)
        begins = detail_file.append(self._folder, name, list(new_details.values()))
        for at, (item_id, sealed) in zip(begins, new_details.items(), strict=True):
            rows[item_id] = replace(rows[item_id], at=at, length=len(sealed))
        vault = replace(vault, rows=rows)
        live = sum(row.length for row in rows.values())
        if detail_file.size(self._folder.path / name) <= 2 * live + _SPARE_BYTES:
            return vault
        return self._compacted(vault)

    def _compacted(self, vault: CachedVault) -> CachedVault:
        """Copy the details in use to a new volume; the old one is deleted when no file names it."""
        name = self._details_file(vault.id, vault.volume + 1)
        self._folder.remove(name)
        used = [self.detail(vault, item_id) for item_id in vault.rows]
        begins = detail_file.append(self._folder, name, used)
        rows = {
            item_id: replace(row, at=at)
            for at, (item_id, row) in zip(begins, vault.rows.items(), strict=True)
        }
        return replace(vault, rows=rows, volume=vault.volume + 1)

    def _vault_file(self, vault_id: UUID) -> str:
        return f"{self._place}/{vault_id}.vault"

    def _details_file(self, vault_id: UUID, volume: int) -> str:
        return f"{self._place}/{vault_id}.{volume}.details"

    def _stamp(self, name: str) -> _Stamp | None:
        try:
            seen = (self._folder.path / name).stat()
        except FileNotFoundError:
            return None
        return seen.st_ino, seen.st_mtime_ns, seen.st_size


def _trail(vault: CachedVault) -> dict[int, bytes]:
    heads = {**vault.trail, vault.state.n: vault.state.head}
    return {n: heads[n] for n in sorted(heads)[-_TRAIL_MOST:]}


def trashed_since(vault: CachedVault, item_id: UUID) -> datetime | None:
    """Return when this device first saw the item in the trash."""
    text = vault.trashed.get(item_id)
    return None if text is None else datetime.fromisoformat(text)


def _to_json(vault: CachedVault) -> Json:
    return {
        "state": vault.state.to_json(),
        "wraps": [[generation, b64(sealed)] for generation, sealed in vault.wraps.items()],
        "overview": b64(vault.overview),
        "rows": [
            [str(item_id), row.overview, row.created_at, row.updated_at, row.at, row.length]
            for item_id, row in vault.rows.items()
        ],
        "trashed": {str(item_id): since for item_id, since in vault.trashed.items()},
        "volume": vault.volume,
        "synced_at": vault.synced_at,
        "trail": [[n, b64(head)] for n, head in vault.trail.items()],
    }


def _from_json(value: Mapping[str, Any]) -> CachedVault:
    return CachedVault(
        state=VaultState.from_json(value["state"]),
        wraps={generation: unb64(sealed) for generation, sealed in value["wraps"]},
        overview=unb64(value["overview"]),
        rows={UUID(item_id): Row(*rest) for item_id, *rest in value["rows"]},
        trashed={UUID(item_id): since for item_id, since in value["trashed"].items()},
        volume=value["volume"],
        synced_at=value["synced_at"],
        trail={n: unb64(head) for n, head in value.get("trail", ())},
    )
