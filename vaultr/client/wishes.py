"""What its user wants to be written, and the conflict when the item is not what the user saw."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from vaultr.client import aad
from vaultr.client.chain import Keys
from vaultr.client.errors import PreconditionFailed
from vaultr.client.items import encode
from vaultr.client.seal import seal
from vaultr.client.state import Held, VaultState
from vaultr.client.sync import vk_of
from vaultr.client.write import Change
from vaultr.protocol.entries import Op


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
class Put:
    """The wish to create an item, or to replace the content that its user saw.

    :ivar seen: the content_revision that the user saw; None to create the item.
    """

    item_id: UUID
    type: str
    overview: dict[str, Any] = field(repr=False)
    detail: dict[str, Any] = field(repr=False)
    seen: int | None = None

    def change(self, state: VaultState, n: int, keys: Keys) -> Change:
        """Seal both parts for revision ``n``."""
        _check_seen(state, self.item_id, self.seen)
        sealed = []
        parts: tuple[tuple[aad.Part, dict[str, Any]], ...] = (
            ("overview", self.overview),
            ("detail", self.detail),
        )
        for part, value in parts:
            bound = aad.item(state.vault_id, self.item_id, part, self.type, n, state.generation)
            sealed.append(seal(vk_of(keys, state.generation, state.vault_id), bound, encode(value)))
        return Change.put(self.item_id, self.type, *sealed)


@dataclass(frozen=True, slots=True)
class Move:
    """The wish to trash, restore or remove an item whose content its user saw.

    :ivar revision: the revision that it must have still. For what cannot be undone: an item that
        somebody restored meanwhile has the same content, and must not be removed.
    """

    op: Op
    item_id: UUID
    seen: int
    revision: int | None = None

    def change(self, state: VaultState, n: int, keys: Keys) -> Change:
        """Give the change, if the item is still what its user saw."""
        _check_seen(state, self.item_id, self.seen)
        held = state.items.get(self.item_id)
        if held is not None and self.revision not in (None, held.revision):
            raise EditConflict(self.item_id, held)
        return Change(self.op, self.item_id)


Wish = Put | Move


def _check_seen(state: VaultState, item_id: UUID, seen: int | None) -> None:
    held = state.items.get(item_id)
    if (held.content_revision if held else None) != seen:
        raise EditConflict(item_id, held)
