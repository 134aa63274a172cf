"""Add and edit items; an edit never overwrites changes that its user has not seen."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from vaultr.client.errors import VaultrError
from vaultr.client.items.history import History
from vaultr.client.items.merge import NAMED, changed, merge, same
from vaultr.client.items.schemas import Draft, check, with_expiry
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.batches import Batches
from vaultr.client.vaults.reader import Item, Reader
from vaultr.client.vaults.write_intents import EditConflict, Put
from vaultr.client.vaults.writer import RETRIES, Writer

Progress = Callable[[int, int], None]
Notify = Callable[[str], None]
Part = dict[str, Any]


class Editor:
    """Adds and edits items of one unlocked account.

    :param history: returns the reader of earlier versions; most commands never need it.
    :param notify: called with messages for the user that are not errors.
    """

    def __init__(
        self, reader: Reader, writer: Writer, history: Callable[[], History], notify: Notify
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._history = history
        self._notify = notify

    def add(self, vault_id: UUID, draft: Draft) -> Item:
        """Add one item."""
        overview = with_expiry(draft.overview, draft.detail)
        check(draft.type, overview, draft.detail)
        put = Put(uuid4(), draft.type, overview, draft.detail)
        vault = self._writer.write(vault_id, [put])
        return self._shown(vault, put)

    def add_with_versions(self, vault_id: UUID, contents: Sequence[Draft]) -> Item:
        """Add one item with its earlier contents, oldest first, in one write."""
        item_id, newest = uuid4(), contents[-1]
        check(newest.type, newest.overview, newest.detail)
        puts = [Put(item_id, each.type, each.overview, each.detail) for each in contents]
        return self._shown(self._writer.write(vault_id, puts), puts[-1])

    def add_many(
        self, vault_id: UUID, drafts: Sequence[Draft], progress: Progress | None
    ) -> list[Item]:
        """Add items in batches; check all before sending the first.

        If an error occurs between batches, its note says how many items were added.
        """
        sizes = [check(each.type, each.overview, each.detail) for each in drafts]
        puts = [Put(uuid4(), each.type, each.overview, each.detail) for each in drafts]
        batches, added = Batches(self._writer), 0
        while added < len(puts):
            try:
                added += batches.write(vault_id, puts[added:], sizes[added:])
            except VaultrError as error:
                error.add_note(f"{added} of {len(puts)} items were added.")
                raise
            if progress is not None:
                progress(added, len(puts))
        vault = self._reader.vault(vault_id)
        return [self._shown(vault, put) for put in puts if put.item_id in vault.state.items]

    def edit(
        self,
        vault: CachedVault,
        item: Item,
        *,
        overview: Part | None,
        detail: Part | None,
        revision: int | None,
        before: Item | None,
    ) -> Item:
        """Change fields of an item as its user saw it; merge with changes by others.

        Other fields, and other names within ``variables``, stay; None removes a field.

        :param item: the current item, with its detail.
        :param revision: the revision that the user saw; None for that of ``item``.
        :param before: the item as this device had it before it contacted the server.
        :raises EditConflict: others changed the same fields, which the error names; or the item was
            removed, or the revision that the user saw is not available. Nothing was written.
        """
        edited = {"overview": overview or {}, "detail": detail or {}}
        base = self._base(vault, item, revision, before)
        if base is None:
            raise EditConflict(item.id, vault.state.items[item.id], _against(edited, item))
        for attempt in RETRIES.attempts():
            new = self._merged(vault, base, item, edited)
            try:
                written = self._writer.write(vault.id, [new])
            except EditConflict:
                vault = self._reader.vault(vault.id)
                held = vault.state.items.get(item.id)
                if attempt.is_last or held is None or held.state != "active":
                    raise
                attempt.wait()
                # Only now, so that the edit is based on the newest revision.
                vault = self._writer.up_to_date(vault.id)
                item = self.revealed(vault, item.id)
            else:
                self._report_others(base, item)
                return self._shown(written, new)
        raise AssertionError  # the last attempt raises

    def _base(
        self, vault: CachedVault, item: Item, revision: int | None, before: Item | None
    ) -> Item | None:
        """Return the item as its user saw it; None if that is unknown."""
        if revision is None or item.content_revision <= revision <= item.revision:
            return item
        if before is not None and before.content_revision <= revision <= before.revision:
            return before
        if revision > item.revision:
            return None
        seen = self._history().as_of(vault, item.id, revision)
        return None if seen is None else seen.as_item()

    def _merged(self, vault: CachedVault, base: Item, now: Item, edited: Mapping[str, Part]) -> Put:
        """Merge the edit into the current item.

        :raises EditConflict: both sides changed the same fields.
        """
        overview = merge(base.overview, edited["overview"], now.overview, prefix="overview")
        detail = merge(base.detail or {}, edited["detail"], now.detail or {}, prefix="detail")
        clashing = (*overview.clashing, *detail.clashing)
        if clashing:
            raise EditConflict(now.id, vault.state.items[now.id], clashing)
        value = overview.value
        if "expires_at" in edited["detail"]:
            value = with_expiry(value, detail.value, edited["overview"])
        check(now.type, value, detail.value)
        return Put(now.id, now.type, value, detail.value, seen=now.content_revision)

    def _report_others(self, base: Item, now: Item) -> None:
        """Report the other fields that were changed elsewhere."""
        fields = [
            *changed(base.overview, now.overview, prefix="overview"),
            *changed(base.detail or {}, now.detail or {}, prefix="detail"),
        ]
        if fields:
            self._notify(
                f"Item {now.id} was also changed elsewhere ({', '.join(fields)}). Both changes are "
                "in it; to see each version: vaultr history."
            )

    def revealed(self, vault: CachedVault, item_id: UUID) -> Item:
        """Open an item with its detail."""
        return self._reader.with_detail(vault, self._reader.item(vault, item_id))

    def _shown(self, vault: CachedVault, put: Put) -> Item:
        return self._reader.known(vault, put.item_id, put.overview, put.detail)


def _against(edited: Mapping[str, Part], now: Item) -> list[str]:
    """List the edited fields that differ from the current item."""
    parts = {"overview": now.overview, "detail": now.detail or {}}
    return [
        where
        for part, fields in edited.items()
        for name, value in fields.items()
        for where in _differing(
            f"{part}.{name}", value, parts[part].get(name), within=name in NAMED
        )
    ]


def _differing(where: str, edited: Any, now: Any, *, within: bool) -> Iterator[str]:
    if within and isinstance(edited, Mapping) and isinstance(now, Mapping):
        yield from (
            f"{where}.{name}" for name, each in edited.items() if not same(now.get(name), each)
        )
    elif not same(now, edited):
        yield where
