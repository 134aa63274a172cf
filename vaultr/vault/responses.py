"""What is answered about vaults, items and their log."""

from typing import Literal

from pydantic import Field, RootModel

from vaultr.protocol.entries import Op
from vaultr.vault.schemas import ItemState
from vaultr.wire.field_types import Bytes, Bytes32, Id, Int, Out, Time


class WrapView(Out):
    """The keys of one generation, sealed for the caller."""

    generation: Int
    sealed_key: Bytes


class CountsView(Out):
    """How many items there are."""

    active: Int
    trash: Int


class QuotaView(Out):
    """How many items and sealed bytes there may be."""

    items: Int
    bytes: Int


class VaultView(Out):
    """A vault."""

    id: Id
    role: str
    keys: list[WrapView]
    overview: Bytes
    overview_revision: Int
    overview_generation: Int
    generation: Int
    rotating: bool
    revision: Int
    head: Bytes32
    counts: CountsView
    bytes: Int
    quota: QuotaView
    created_at: Time


class VaultList(Out):
    """Vaults in the order of their ids."""

    vaults: list[VaultView]
    next_cursor: str | None


class LeftView(Out):
    """What is left to move to the newest keys: active items, and the vault's own overview."""

    items: Int
    overview: bool


class RotationView(Out):
    """How far a change of keys has come; nothing is left when none is running."""

    rotating: bool
    generation: Int
    left: LeftView


class ItemSummary(Out):
    """An item without its secret part."""

    id: Id
    type: str
    state: ItemState
    revision: Int
    content_revision: Int
    generation: Int
    size: Int
    created_at: Time
    updated_at: Time
    overview: Bytes


class ItemView(ItemSummary):
    """A whole item."""

    detail: Bytes


class ItemList(Out):
    """Items in the order of their ids."""

    items: list[ItemSummary]
    next_cursor: str | None


class WriteView(Out):
    """What one write made of an item, and the head of the vault's log after it."""

    id: Id
    revision: Int
    content_revision: Int
    generation: Int
    state: Literal["active", "trash", "removed"]
    head: Bytes32


class ResultView(Out):
    """What one change of a batch made."""

    item_id: Id
    revision: Int


class ChangesView(Out):
    """What a batch made; `revision` and `head` are the vault's after its last entry."""

    results: list[ResultView]
    revision: Int
    head: Bytes32


class VerdictView(Out):
    """Whether one change of a batch could be made; `problem` is the slug of what refuses it."""

    item_id: Id
    ok: bool
    problem: str | None = Field(default=None, exclude_if=lambda slug: slug is None)


class VerdictsView(Out):
    """What would become of a batch: it is made only if all of it is ok."""

    verdicts: list[VerdictView]


class ChangesAnswer(RootModel[ChangesView | VerdictsView]):
    """What a batch made or, with `dry_run=true`, what would become of it."""


class EntryView(Out):
    """One entry of the log."""

    n: Int
    prev: Bytes32
    op: Op
    item_id: Id | None
    content_revision: Int
    content: Bytes32
    generation: Int
    author_id: Id
    vouch: Bytes32
    mac: Bytes32
    head: Bytes32


class VersionSummary(Out):
    """What one put made of an item, without its secret part, and the entry of that put."""

    revision: Int
    type: str
    generation: Int
    size: Int
    created_at: Time
    overview: Bytes
    entry: EntryView


class VersionView(VersionSummary):
    """What one put made of an item."""

    detail: Bytes


class VersionList(Out):
    """The last contents of an item, the newest first."""

    versions: list[VersionSummary]
    next_cursor: str | None


class RemovedView(Out):
    """An item that is gone for good, and the revision that removed it."""

    id: Id
    revision: Int


class SyncView(Out):
    """One page of a sync, all of it as it was at one moment."""

    items: list[ItemView]
    removed: list[RemovedView]
    entries: list[EntryView]
    vault: VaultView
    through: Int
    more: bool
    revision: Int
    head: Bytes32
    head_entry: EntryView | None
