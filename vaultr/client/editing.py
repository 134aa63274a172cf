"""Adds and edits items: checked against their schema, in batches, and never over unseen changes."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from vaultr.client.batches import Batches
from vaultr.client.cache import CachedVault
from vaultr.client.errors import VaultrError
from vaultr.client.items import Draft, check, differing, merged, sealed_bytes
from vaultr.client.reading import ANY_STATE, Item, Reader
from vaultr.client.wishes import EditConflict, Put
from vaultr.client.writes import Writer

Progress = Callable[[int, int], None]
Part = dict[str, Any]


class Editor:
    """Adds and edits items of one unlocked account."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def add(self, vault_id: UUID, draft: Draft) -> Item:
        """Add one item."""
        check(draft.type, draft.overview, draft.detail)
        wish = Put(uuid4(), draft.type, draft.overview, draft.detail)
        vault = self._writer.write(vault_id, [wish])
        return self._shown(vault, wish)

    def add_many(
        self, vault_id: UUID, drafts: Sequence[Draft], progress: Progress | None
    ) -> list[Item]:
        """Add items in batches, all of which are checked before the first is sent.

        An error between batches says in a note how many were added before it.
        """
        for draft in drafts:
            check(draft.type, draft.overview, draft.detail)
        wishes = [Put(uuid4(), each.type, each.overview, each.detail) for each in drafts]
        sizes = [sealed_bytes(each.overview, each.detail) for each in drafts]
        batches, added = Batches(self._writer), 0
        while added < len(wishes):
            try:
                added += batches.write(vault_id, wishes[added:], sizes[added:])
            except VaultrError as error:
                error.add_note(f"{added} of {len(wishes)} items were added before.")
                raise
            if progress is not None:
                progress(added, len(wishes))
        vault = self._reader.vault(vault_id)
        return [self._shown(vault, wish) for wish in wishes if wish.item_id in vault.state.items]

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
        """Replace the content of an item, as its user saw it.

        :param item: the item as it is now, with its detail.
        :param revision: the revision that the user saw; None for that of ``item``.
        :param before: the item as this device held it before it asked the server.
        :raises EditConflict: the content is another than the user saw.
        """
        if revision is not None and not item.content_revision <= revision <= item.revision:
            given = {"overview": overview or {}, "detail": detail or {}}
            fields = _fields_since(before, item, revision) or _fields_against(given, item)
            raise EditConflict(item.id, vault.state.items[item.id], fields)
        new = Put(
            item.id,
            item.type,
            merged(item.overview, overview or {}),
            merged(item.detail or {}, detail or {}),
            seen=item.content_revision,
        )
        check(new.type, new.overview, new.detail)
        try:
            written = self._writer.write(vault.id, [new])
        except EditConflict as conflict:
            raise self._explained(conflict, vault.id, item) from None
        return self._shown(written, new)

    def _explained(self, conflict: EditConflict, vault_id: UUID, seen: Item) -> EditConflict:
        """Name the fields in which the item differs by now from what the user saw."""
        vault = self._reader.vault(vault_id)
        held = vault.state.items.get(seen.id)
        if held is None:
            return conflict
        now = self.revealed(vault, seen.id)
        return EditConflict(seen.id, held, _differing(seen, now))

    def revealed(self, vault: CachedVault, item_id: UUID) -> Item:
        """Open an item with its detail."""
        _, item = self._reader.find(item_id, [vault], ANY_STATE)
        return self._reader.with_detail(vault, item)

    def _shown(self, vault: CachedVault, wish: Put) -> Item:
        return self._reader.known(vault, wish.item_id, wish.overview, wish.detail)


def _fields_since(before: Item | None, now: Item, revision: int) -> list[str]:
    """Name what others changed since ``revision``, if this device still held that content."""
    if before is None or before.content_revision > revision:
        return []
    return _differing(before, now)


def _fields_against(given: dict[str, Part], now: Item) -> list[str]:
    """Name the given fields that differ from what is there by now."""
    parts = {"overview": now.overview, "detail": now.detail or {}}
    return [
        name
        for part, fields in given.items()
        for name in differing(fields, {k: parts[part].get(k) for k in fields}, prefix=part)
    ]


def _differing(ours: Item, theirs: Item) -> list[str]:
    return [
        *differing(ours.overview, theirs.overview, prefix="overview"),
        *differing(ours.detail or {}, theirs.detail or {}, prefix="detail"),
    ]
