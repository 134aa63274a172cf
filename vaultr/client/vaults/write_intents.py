"""What its user wants to be written, and the conflict when the item is not what the user saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.seal import open_sealed, seal
from vaultr.client.errors import PreconditionFailed, SealBroken
from vaultr.client.log.append import Change
from vaultr.client.log.chain import Keys
from vaultr.client.log.state import Held, VaultState
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.plaintext import encode
from vaultr.client.vaults.sync import vk_of
from vaultr.protocol.encoding import unb64
from vaultr.protocol.entries import Op

PARTS: Final[tuple[aad.Part, aad.Part]] = ("overview", "detail")


class EditConflict(PreconditionFailed):
    """The item has changed since its user saw it; nothing was written.

    :ivar fields: the fields that differ, as ``detail.password``; empty where that is not known.
    """

    def __init__(self, item_id: UUID, held: Held | None, fields: Sequence[str] = ()) -> None:
        self.item_id = item_id
        self.fields = list(fields)
        what = f"is at revision {held.revision} by now" if held else "was removed meanwhile"
        differ = f": {', '.join(fields)} differ" if fields else ""
        super().__init__(
            "precondition-failed",
            412,
            f"Item {item_id} {what}{differ}. Nothing was written; look at it again.",
            {"revision": held.revision if held else None, "fields": self.fields},
        )


@dataclass(frozen=True, slots=True)
class Ground:
    """The verified vault that wishes are made real on, with its keys and sealed parts."""

    vault: CachedVault
    keys: Keys = field(repr=False)
    detail: Callable[[UUID], bytes] = field(repr=False)

    @property
    def state(self) -> VaultState:
        """What is held of the vault."""
        return self.vault.state

    def put(self, item_id: UUID, type: str, n: int, parts: Sequence[bytes]) -> Change:
        """Seal both parts of an item for revision ``n``, under the vault's newest keys."""
        state = self.state
        key = vk_of(self.keys, state.generation, state.vault_id)
        bounds = [aad.item(state.vault_id, item_id, p, type, n, state.generation) for p in PARTS]
        sealed = [seal(key, bound, part) for bound, part in zip(bounds, parts, strict=True)]
        return Change.put(item_id, type, *sealed)

    def opened(self, item_id: UUID) -> tuple[bytes, bytes]:
        """Open both parts of an item, as the bytes that were sealed.

        :raises SealBroken: one does not open.
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


@dataclass(frozen=True, slots=True)
class Put:
    """The wish to create an item, or to replace the content that its user saw.

    :ivar seen: the content_revision that the user saw; None to create the item.
    """

    item_id: UUID
    type: str
    overview: dict[str, Any] = field(repr=False)
    detail: dict[str, Any] = field(repr=False)
    seen: int | None = None

    def changes(self, ground: Ground, n: int) -> list[Change]:
        """Seal both parts for revision ``n``."""
        parts = [encode(self.overview), encode(self.detail)]
        if self.seen is None and _holds(ground, self.item_id, parts):
            return []  # it was written; its answer was lost, and it was refused when sent again
        _check_seen(ground.state, self.item_id, self.seen)
        return [ground.put(self.item_id, self.type, n, parts)]


@dataclass(frozen=True, slots=True)
class RawPut:
    """The wish to write parts as bytes that were opened before, such as those of a version."""

    item_id: UUID
    type: str
    parts: tuple[bytes, bytes] = field(repr=False)
    seen: int | None = None

    def changes(self, ground: Ground, n: int) -> list[Change]:
        """Seal both parts for revision ``n``."""
        _check_seen(ground.state, self.item_id, self.seen)
        return [ground.put(self.item_id, self.type, n, self.parts)]


@dataclass(frozen=True, slots=True)
class Reseal:
    """The wish that an active item is sealed under the vault's newest keys; nothing else changes.

    Where somebody edited, trashed or removed it meanwhile there is nothing to do.
    """

    item_id: UUID

    def changes(self, ground: Ground, n: int) -> list[Change]:
        """Seal what is there anew, byte for byte, unless it is under the newest keys."""
        held = ground.state.items.get(self.item_id)
        if held is None or held.state != "active" or held.generation == ground.state.generation:
            return []
        return [ground.put(self.item_id, held.type, n, ground.opened(self.item_id))]


@dataclass(frozen=True, slots=True)
class Move:
    """The wish to trash, restore or remove an item whose content its user saw.

    :ivar seen: its content_revision then; None for one that an earlier wish of the batch creates.
    :ivar revision: the revision that it must have still. For what cannot be undone: an item that
        somebody restored meanwhile has the same content, and must not be removed.
    """

    op: Op
    item_id: UUID
    seen: int | None
    revision: int | None = None

    def changes(self, ground: Ground, n: int) -> list[Change]:
        """Give the change, if the item is still what its user saw.

        One that comes back from the trash is sealed under the newest keys in the same write.
        """
        state = ground.state
        _check_seen(state, self.item_id, self.seen)
        held = state.items.get(self.item_id)
        if held is not None and self.revision not in (None, held.revision):
            raise EditConflict(self.item_id, held)
        changes = [Change(self.op, self.item_id)]
        if self.op is Op.RESTORE and held is not None and held.generation < state.generation:
            parts = ground.opened(self.item_id)
            changes.append(ground.put(self.item_id, held.type, n + 1, parts))
        return changes


Wish = Put | RawPut | Reseal | Move


def _holds(ground: Ground, item_id: UUID, parts: Sequence[bytes]) -> bool:
    try:
        return item_id in ground.state.items and [*ground.opened(item_id)] == [*parts]
    except SealBroken:
        return False


def _check_seen(state: VaultState, item_id: UUID, seen: int | None) -> None:
    held = state.items.get(item_id)
    if (held.content_revision if held else None) != seen:
        raise EditConflict(item_id, held)
