"""Response bodies about vaults, items and their log."""

from typing import Literal

from pydantic import Field, RootModel

from vaultr.protocol.entries import Op
from vaultr.vault.schemas import ItemState
from vaultr.wire.field_types import Bytes, Bytes32, Id, Int, Out, Time


class WrapView(Out):
    """The keys of one generation, sealed for you."""

    generation: Int
    sealed_key: Bytes


class CountsView(Out):
    """The numbers of active items and of items in the trash."""

    active: Int
    trash: Int


class QuotaView(Out):
    """The maximum numbers of items and of sealed bytes."""

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
    """Vaults, ordered by id."""

    vaults: list[VaultView]
    next_cursor: str | None


class LeftView(Out):
    """The values still sealed under older keys: active items, and the vault's own overview."""

    items: Int
    overview: bool


class RotationView(Out):
    """The progress of a key rotation; nothing is left when none is running."""

    rotating: bool
    generation: Int
    left: LeftView


class ItemSummary(Out):
    """An item without its detail."""

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
    """An item with its detail."""

    detail: Bytes


class ItemList(Out):
    """Items without their details, ordered by id."""

    items: list[ItemSummary]
    next_cursor: str | None


class WriteView(Out):
    """The state of an item after a write, and the head of the vault's log."""

    id: Id
    revision: Int
    content_revision: Int
    generation: Int
    state: Literal["active", "trash", "removed"]
    head: Bytes32


class ResultView(Out):
    """The result of one change of a batch."""

    item_id: Id
    revision: Int


class ChangesView(Out):
    """The results of a batch; `revision` and `head` are the vault's after its last entry."""

    results: list[ResultView]
    revision: Int
    head: Bytes32


class VerdictView(Out):
    """The result for one change of a dry run; if it is invalid, `problem` is the error's slug."""

    item_id: Id
    ok: bool
    problem: str | None = Field(default=None, exclude_if=lambda slug: slug is None)


class VerdictsView(Out):
    """The results of a dry run; the batch is valid only if all its changes are."""

    verdicts: list[VerdictView]


class ChangesResponse(RootModel[ChangesView | VerdictsView]):
    """The results of a batch or, with `dry_run=true`, of its dry run."""


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
    """An earlier content of an item without its detail, and the entry of its put."""

    revision: Int
    type: str
    generation: Int
    size: Int
    created_at: Time
    overview: Bytes
    entry: EntryView


class VersionView(VersionSummary):
    """An earlier content of an item."""

    detail: Bytes


class VersionList(Out):
    """The latest contents of an item, newest first."""

    versions: list[VersionSummary]
    next_cursor: str | None


class RemovedView(Out):
    """The id of a removed item, and the revision that removed it."""

    id: Id
    revision: Int


class SyncView(Out):
    """One page of a sync, read in one snapshot."""

    items: list[ItemView]
    removed: list[RemovedView]
    entries: list[EntryView]
    vault: VaultView
    through: Int
    more: bool
    revision: Int
    head: Bytes32
    head_entry: EntryView | None
