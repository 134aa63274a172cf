"""A locked vault while changes are checked and applied in memory, before they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from vaultr.errors import FieldError, Unprocessable
from vaultr.protocol.entries import NOTHING, Op, item_content
from vaultr.vault.change_rules import Change, Content, Quota
from vaultr.vault.errors import (
    GenerationMoved,
    InTrash,
    ItemConflict,
    ItemNotFound,
    QuotaExceeded,
    RevisionMoved,
)
from vaultr.vault.log_entries import Log
from vaultr.wire.preconditions import etag


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item without its sealed parts."""

    revision: int
    content_revision: int
    generation: int
    type: str
    state: Literal["active", "trash"]
    size: int
    puts: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Put:
    """One put: the item afterwards, and its sealed parts."""

    item_id: UUID
    item: StoredItem
    content: Content


@dataclass(slots=True)
class PendingChanges:
    """A vault with the changes applied, before they are stored.

    :ivar version_bytes: sealed bytes of all versions before the changes.
    :ivar items: the current state of the items to change; None if the item does not exist.
    :ivar removed: the ids of ``items`` that were ever removed.
    :ivar puts: the puts, in order.
    """

    log: Log
    quota: Quota
    active: int
    trash: int
    item_bytes: int
    version_bytes: int
    items: dict[UUID, StoredItem | None]
    removed: set[UUID]
    puts: list[Put] = field(default_factory=list)

    def apply(self, change: Change) -> StoredItem | None:
        """Apply one change, and return the item after it.

        The order of the checks is part of the API.

        :raises ItemNotFound, GenerationMoved, RevisionMoved, InTrash, ItemConflict, HeadMoved,
            QuotaExceeded: the current state does not allow the change.
        """
        item = self.items.get(change.item_id)
        self.check_exists(change)
        self._check_keys(change, item)
        _check_expected(change, item)
        self._check_state(change, item)
        self.log.check(change.entry, change.field_errors("not the next entry"))
        if change.content is not None:
            self._check_quota(change, change.content, item)
        after = self._after(change, item)
        self._count(item, after)
        self.items[change.item_id] = after
        return after

    def check_exists(self, change: Change) -> None:
        """Check that the item exists, unless the change creates it.

        :raises ItemNotFound: it does not exist.
        """
        creates = change.op is Op.PUT and change.expected.revision is None
        if self.items.get(change.item_id) is None and not creates:
            raise ItemNotFound(errors=change.field_errors("no such item"))

    def _check_keys(self, change: Change, item: StoredItem | None) -> None:
        """Check that the change adds no active item that is sealed under older keys."""
        if change.content is not None:
            check_generation(self.log, change.content.generation, at=change.at)
        if change.op is not Op.RESTORE or change.followed or item is None:
            return
        if item.state == "trash" and item.generation < self.log.generation:
            raise GenerationMoved(
                "The item is sealed under older keys. Restore it and reseal it in one batch.",
                errors=change.field_errors("under older keys"),
                members={"generation": self.log.generation},
            )

    def _check_state(self, change: Change, item: StoredItem | None) -> None:
        state = item.state if item else None
        if state == "trash" and change.op in (Op.PUT, Op.TRASH):
            raise InTrash(errors=change.field_errors("in the trash"))
        if state == "active" and change.op is Op.RESTORE:
            raise ItemConflict(
                "The item is active, not in the trash.", errors=change.field_errors("active")
            )
        if item is None and change.item_id in self.removed:
            raise ItemConflict(
                "An item with this id was removed, and ids are never reused. Choose a new id.",
                errors=change.field_errors("removed"),
            )

    def _check_quota(self, change: Change, content: Content, item: StoredItem | None) -> None:
        if item is None and self.active + self.trash >= self.quota.items:
            detail = f"A vault can have at most {self.quota.items} items. Remove items first."
            raise QuotaExceeded(detail, errors=change.field_errors("too many items"))
        grows = content.size - (item.size if item else 0)
        if grows > 0 and self.item_bytes + grows > self.quota.vault_bytes:
            limit = self.quota.vault_bytes
            detail = f"A vault can have at most {limit} sealed bytes. Remove items first."
            raise QuotaExceeded(detail, errors=change.field_errors("too many bytes"))

    def _after(self, change: Change, item: StoredItem | None) -> StoredItem | None:
        n, extend = change.entry.n, self.log.extend
        if change.content is not None:
            after = _put(change.content, n, item)
            self.puts.append(Put(change.item_id, after, change.content))
            extend(change.entry, Op.PUT, change.item_id, n, after.content)
            return after
        if change.op is Op.REMOVE or item is None:
            self.removed.add(change.item_id)
            extend(change.entry, Op.REMOVE, change.item_id, 0, NOTHING)
            return None
        extend(change.entry, change.op, change.item_id, item.content_revision, item.content)
        return replace(item, revision=n, state="trash" if change.op is Op.TRASH else "active")

    def _count(self, before: StoredItem | None, after: StoredItem | None) -> None:
        for item, sign in ((before, -1), (after, 1)):
            if item is not None:
                self.active += sign * (item.state == "active")
                self.trash += sign * (item.state == "trash")
                self.item_bytes += sign * item.size

    def counts(self) -> Mapping[str, Any]:
        """Return the counts for the vault's row."""
        return {
            "active": self.active,
            "trash": self.trash,
            "item_bytes": self.item_bytes,
        }

    def exceeds_version_quota(self) -> bool:
        """Return whether old versions may exceed the quota after the changes."""
        put = sum(put.item.size for put in self.puts)
        return self.version_bytes + put - self.item_bytes > self.quota.vault_bytes


def _put(content: Content, n: int, item: StoredItem | None) -> StoredItem:
    hashed = item_content(content.type, content.generation, content.overview, content.detail)
    return StoredItem(
        revision=n,
        content_revision=n,
        generation=content.generation,
        type=content.type,
        state="active",
        size=content.size,
        puts=item.puts + 1 if item else 1,
        content=hashed,
    )


def _check_expected(change: Change, item: StoredItem | None) -> None:
    if item is None or item.revision == change.expected.revision:
        return
    raise RevisionMoved(
        errors=change.field_errors("stale"),
        members={"revision": item.revision},
        headers=etag(item.revision),
    )


def check_generation(log: Log, generation: int, *, at: str = "") -> None:
    """Check that content is sealed under the vault's current keys.

    :raises GenerationMoved: it is sealed under older keys; the error contains the current
        generation.
    :raises Unprocessable: the generation does not exist yet.
    """
    if generation > log.generation:
        raise Unprocessable(
            errors=[FieldError(f"{at}/generation", "greater than the vault's generation")]
        )
    if generation < log.generation:
        raise GenerationMoved(
            errors=[FieldError(at, "under older keys")] if at else [],
            members={"generation": log.generation},
        )
