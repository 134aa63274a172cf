"""Planned changes to a vault, and the error for an item that has changed in the meantime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import Keys, vk_of
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import PreconditionFailed, SealBroken
from vaultr.client.log.append import Change
from vaultr.client.log.pages import ItemRow
from vaultr.client.log.state import Held, VaultState
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.plaintext import encode
from vaultr.protocol.encoding import unb64
from vaultr.protocol.entries import Op

PARTS: Final[tuple[aad.Part, aad.Part]] = ("overview", "detail")


class EditConflict(PreconditionFailed):
    """The item has changed since its user read it; nothing was written.

    :ivar fields: the fields that differ, for example ``detail.password``; empty if unknown.
    """

    def __init__(self, item_id: UUID, held: Held | None, fields: Sequence[str] = ()) -> None:
        self.item_id = item_id
        self.fields = list(fields)
        what = f"changed (it is at revision {held.revision} now" if held else "was removed"
        differ = f"; different fields: {', '.join(fields)}" if fields else ""
        closing = ")" if held else ""
        super().__init__(
            "precondition-failed",
            412,
            f"Item {item_id} {what}{differ}{closing}. Nothing was written. Review it, then try "
            "again.",
            {"revision": held.revision if held else None, "fields": self.fields},
        )


@dataclass(frozen=True, slots=True)
class OpenVault:
    """A verified vault with its keys and sealed parts, for planning changes."""

    vault: CachedVault
    keys: Keys = field(repr=False)
    detail: Callable[[UUID], bytes] = field(repr=False)

    @property
    def state(self) -> VaultState:
        """The verified state."""
        return self.vault.state

    def put(self, item_id: UUID, type: str, n: int, parts: Sequence[bytes]) -> Change:
        """Return a put for revision ``n``, with both parts sealed under the vault's newest keys."""
        state = self.state
        key = vk_of(self.keys, state.generation, state.vault_id)
        bounds = [aad.item(state.vault_id, item_id, p, type, n, state.generation) for p in PARTS]
        sealed = [seal(key, bound, part) for bound, part in zip(bounds, parts, strict=True)]
        return Change.put(item_id, type, *sealed)

    def opened(self, item_id: UUID) -> tuple[bytes, bytes]:
        """Return both opened parts of an item, as the bytes that were sealed.

        :raises SealBroken: one of them does not open.
        """
        state, held = self.state, self.state.items[item_id]
        key = vk_of(self.keys, held.generation, state.vault_id)
        sealed = {"overview": unb64(self.vault.rows[item_id].overview)}
        sealed["detail"] = self.detail(item_id)
        place = (held.type, held.content_revision, held.generation)
        overview, detail = (
            open_sealed(
                key,
                aad.item(state.vault_id, item_id, part, *place),
                sealed[part],
                f"the {part} of item {item_id}",
            )
            for part in PARTS
        )
        return overview, detail


def open_row(keys: Keys, vault_id: UUID, item_id: UUID, row: ItemRow, part: aad.Part) -> bytes:
    """Return one opened part of an item in a server's response.

    :raises IntegrityError: it does not open, or its keys are missing.
    """
    held = row.held
    bound = aad.item(vault_id, item_id, part, held.type, held.content_revision, held.generation)
    key = vk_of(keys, held.generation, vault_id)
    return open_sealed(key, bound, unb64(row.json[part]), f"the {part} of item {item_id}")


@dataclass(frozen=True, slots=True)
class Put:
    """Create an item, or replace the content that the user has seen.

    :ivar seen: the content_revision that the user saw; None to create the item.
    """

    item_id: UUID
    type: str
    overview: dict[str, Any] = field(repr=False)
    detail: dict[str, Any] = field(repr=False)
    seen: int | None = None

    def changes(self, open_vault: OpenVault, n: int) -> list[Change]:
        """Seal both parts for revision ``n``."""
        parts = [encode(self.overview), encode(self.detail)]
        if self.seen is None and _holds(open_vault, self.item_id, parts):
            return []  # already written: the response was lost, and the retry was rejected
        _check_seen(open_vault.state, self.item_id, self.seen)
        return [open_vault.put(self.item_id, self.type, n, parts)]


@dataclass(frozen=True, slots=True)
class RawPut:
    """Write parts from opened bytes, such as those of a version."""

    item_id: UUID
    type: str
    parts: tuple[bytes, bytes] = field(repr=False)
    seen: int | None = None

    def changes(self, open_vault: OpenVault, n: int) -> list[Change]:
        """Seal both parts for revision ``n``."""
        _check_seen(open_vault.state, self.item_id, self.seen)
        return [open_vault.put(self.item_id, self.type, n, self.parts)]


@dataclass(frozen=True, slots=True)
class Reseal:
    """Seal an active item under the vault's newest keys, and change nothing else.

    Does nothing if another device has edited, trashed or removed the item.
    """

    item_id: UUID

    def changes(self, open_vault: OpenVault, n: int) -> list[Change]:
        """Seal the same bytes again, unless they are sealed under the newest keys."""
        held = open_vault.state.items.get(self.item_id)
        if held is None or held.state != "active" or held.generation == open_vault.state.generation:
            return []
        return [open_vault.put(self.item_id, held.type, n, open_vault.opened(self.item_id))]


@dataclass(frozen=True, slots=True)
class Move:
    """Trash, restore or remove an item whose content the user has seen.

    :ivar seen: the content_revision that the user saw; None if an earlier change of the batch
        creates the item.
    :ivar revision: the revision that the item must still have. Needed to remove an item: if another
        device has restored it, it has the same content, but must stay.
    """

    op: Op
    item_id: UUID
    seen: int | None
    revision: int | None = None

    def changes(self, open_vault: OpenVault, n: int) -> list[Change]:
        """Return the change if the item is still as its user saw it.

        A restored item is sealed under the newest keys in the same write.
        """
        state = open_vault.state
        _check_seen(state, self.item_id, self.seen)
        held = state.items.get(self.item_id)
        if held is not None and self.revision not in (None, held.revision):
            raise EditConflict(self.item_id, held)
        changes = [Change(self.op, self.item_id)]
        if self.op is Op.RESTORE and held is not None and held.generation < state.generation:
            parts = open_vault.opened(self.item_id)
            changes.append(open_vault.put(self.item_id, held.type, n + 1, parts))
        return changes


PlannedChange = Put | RawPut | Reseal | Move


def _holds(open_vault: OpenVault, item_id: UUID, parts: Sequence[bytes]) -> bool:
    try:
        return item_id in open_vault.state.items and [*open_vault.opened(item_id)] == [*parts]
    except SealBroken:
        return False


def _check_seen(state: VaultState, item_id: UUID, seen: int | None) -> None:
    held = state.items.get(item_id)
    if (held.content_revision if held else None) != seen:
        raise EditConflict(item_id, held)
