"""A vault under its lock while changes are made to it, one after another, or refused by name."""

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


@dataclass(frozen=True, slots=True)
class Held:
    """An item as it stands, but for its sealed parts."""

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
    """One put: the item as it then is, with its sealed parts."""

    item_id: UUID
    held: Held
    content: Content


@dataclass(slots=True)
class Draft:
    """What the vault will be once the changes are stored.

    :ivar version_bytes: sealed bytes of all versions before the changes.
    :ivar items: the items that the changes are about, as they stand; None: there is none.
    :ivar removed: which of them were removed, now or ever.
    :ivar puts: what was put, in order.
    """

    log: Log
    quota: Quota
    active: int
    trash: int
    item_bytes: int
    version_bytes: int
    items: dict[UUID, Held | None]
    removed: set[UUID]
    puts: list[Put] = field(default_factory=list)

    def make(self, change: Change) -> Held | None:
        """Make one change; give the item as it then is.

        The checks stand in the order in which the API promises to refuse.

        :raises ItemNotFound, GenerationMoved, RevisionMoved, InTrash, ItemConflict, HeadMoved,
            QuotaExceeded: the change does not fit what is there.
        """
        held = self.items.get(change.item_id)
        self.check_there(change)
        self._check_keys(change, held)
        _check_expected(change, held)
        self._check_state(change, held)
        self.log.check(change.entry, change.faults("not the next entry"))
        if change.content is not None:
            self._check_room(change, change.content, held)
        after = self._after(change, held)
        self._count(held, after)
        self.items[change.item_id] = after
        return after

    def check_there(self, change: Change) -> None:
        """Check that there is an item, where the change is about one that must be there.

        :raises ItemNotFound: there is none.
        """
        creates = change.op is Op.PUT and change.expected.revision is None
        if self.items.get(change.item_id) is None and not creates:
            raise ItemNotFound(errors=change.faults("no such item"))

    def _check_keys(self, change: Change, held: Held | None) -> None:
        """Check that no active item will be under older keys that was not before."""
        if change.content is not None:
            check_generation(self.log, change.content.generation, at=change.at)
        if change.op is not Op.RESTORE or change.followed or held is None:
            return
        if held.state == "trash" and held.generation < self.log.generation:
            raise GenerationMoved(
                "The item is under older keys: put it anew in the batch that restores it.",
                errors=change.faults("under older keys"),
                members={"generation": self.log.generation},
            )

    def _check_state(self, change: Change, held: Held | None) -> None:
        state = held.state if held else None
        if state == "trash" and change.op in (Op.PUT, Op.TRASH):
            raise InTrash(errors=change.faults("in the trash"))
        if state == "active" and change.op is Op.RESTORE:
            raise ItemConflict("The item is not in the trash.", errors=change.faults("active"))
        if held is None and change.item_id in self.removed:
            raise ItemConflict(
                "An item of this id was removed; its id never comes back.",
                errors=change.faults("removed"),
            )

    def _check_room(self, change: Change, content: Content, held: Held | None) -> None:
        if held is None and self.active + self.trash >= self.quota.items:
            detail = f"The vault holds {self.quota.items} items, and no more."
            raise QuotaExceeded(detail, errors=change.faults("too many items"))
        grows = content.size - (held.size if held else 0)
        if grows > 0 and self.item_bytes + grows > self.quota.vault_bytes:
            detail = f"The vault holds {self.quota.vault_bytes} sealed bytes, and no more."
            raise QuotaExceeded(detail, errors=change.faults("too many bytes"))

    def _after(self, change: Change, held: Held | None) -> Held | None:
        n, extend = change.entry.n, self.log.extend
        if change.content is not None:
            after = _put(change.content, n, held)
            self.puts.append(Put(change.item_id, after, change.content))
            extend(change.entry, Op.PUT, change.item_id, n, after.content)
            return after
        if change.op is Op.REMOVE or held is None:
            self.removed.add(change.item_id)
            extend(change.entry, Op.REMOVE, change.item_id, 0, NOTHING)
            return None
        extend(change.entry, change.op, change.item_id, held.content_revision, held.content)
        return replace(held, revision=n, state="trash" if change.op is Op.TRASH else "active")

    def _count(self, before: Held | None, after: Held | None) -> None:
        for held, sign in ((before, -1), (after, 1)):
            if held is not None:
                self.active += sign * (held.state == "active")
                self.trash += sign * (held.state == "trash")
                self.item_bytes += sign * held.size

    def counts(self) -> Mapping[str, Any]:
        """Return what the vault's row says of it afterwards."""
        return {
            "active": self.active,
            "trash": self.trash,
            "item_bytes": self.item_bytes,
        }

    def outgrows(self) -> bool:
        """Check whether old versions may have more bytes afterwards than a vault keeps of them."""
        put = sum(put.held.size for put in self.puts)
        return self.version_bytes + put - self.item_bytes > self.quota.vault_bytes


def _put(content: Content, n: int, held: Held | None) -> Held:
    hashed = item_content(content.type, content.generation, content.overview, content.detail)
    return Held(
        revision=n,
        content_revision=n,
        generation=content.generation,
        type=content.type,
        state="active",
        size=content.size,
        puts=held.puts + 1 if held else 1,
        content=hashed,
    )


def _check_expected(change: Change, held: Held | None) -> None:
    if held is None or held.revision == change.expected.revision:
        return
    raise RevisionMoved(
        errors=change.faults("stale"),
        members={"revision": held.revision},
        headers={"ETag": f'"{held.revision}"'},
    )


def check_generation(log: Log, given: int, *, at: str = "") -> None:
    """Check that something is sealed under the vault's present keys.

    :raises GenerationMoved: it is sealed under older ones; with the present generation.
    :raises Unprocessable: there are no such keys yet.
    """
    if given > log.generation:
        raise Unprocessable(errors=[FieldError(f"{at}/generation", "beyond the vault's")])
    if given < log.generation:
        raise GenerationMoved(
            errors=[FieldError(at, "under older keys")] if at else [],
            members={"generation": log.generation},
        )
