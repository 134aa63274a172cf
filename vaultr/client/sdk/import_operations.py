"""Import operations of the SDK: add drafts with the id of one run, and undo a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vaultr.client.errors import ItemNotFound, VaultrError
from vaultr.client.items import import_runs
from vaultr.client.items.duplicates import Presence
from vaultr.client.items.import_runs import (
    ImportInterrupted,
    ImportRun,
    Match,
    marked,
    new_run_id,
    replacement,
)
from vaultr.client.items.schemas import Draft
from vaultr.client.sdk.item_operations import ItemOperations
from vaultr.client.sdk.open_vaults import VaultDevice
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.reader import Item


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The result of an import.

    :ivar added: the new items; ``updated`` has the items with newer content.
    :ivar same: number of entries that the vault already had.
    :ivar differing: items whose entry in the file has other content; they were not changed.
    :ivar beside: number of new items with the type, title and user name of another item.
    """

    run: str
    added: tuple[Item, ...] = field(repr=False)
    updated: tuple[Item, ...] = field(repr=False)
    same: int
    differing: tuple[Item, ...] = field(repr=False)
    beside: int


class ImportOperations:
    """Imports drafts and undoes imports."""

    def __init__(self, device: VaultDevice, items: ItemOperations) -> None:
        self._device = device
        self._items = items

    def import_drafts(
        self,
        drafts: Sequence[Draft],
        *,
        vault: str | None = None,
        update: bool = False,
        again: bool = False,
        earlier: Mapping[str, Sequence[Draft]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> ImportReport:
        """Add the drafts of another manager's file, with the id of one run.

        :param update: write the newer content of entries that were imported before.
        :param again: also add drafts that the vault already has.
        :param earlier: earlier contents of entries, oldest first, by the entry's id in the file.
        :raises ImportExceedsQuota: the new items exceed the vault's quota; nothing was written.
        :raises ImportInterrupted: Ctrl-C; the message says what is in the vault.
        """
        run, now = new_run_id(), datetime.now(UTC)
        found = list(zip(drafts, self._matches(drafts, vault), strict=True))
        new = [draft for draft, match in found if again or _is_new(match)]
        destination = self._device.require_unlocked().destination(vault)
        import_runs.check_quota(destination, new)
        newer = [
            (draft, match.item)
            for draft, match in found
            if match.item is not None and match.presence is Presence.CHANGED
        ]
        added: list[Item] = []
        updated: list[Item] = []
        try:
            drafts = [marked(each, run, now) for each in new]
            self._add(added, destination, drafts, earlier or {}, progress)
            updated += map(self._updated, newer if update else ())
        except KeyboardInterrupt:
            raise self._interrupted(run, len(new), len(updated)) from None
        return ImportReport(
            run=run,
            added=tuple(added),
            updated=tuple(updated),
            same=sum(match.presence is Presence.SAME for _, match in found),
            differing=() if update else tuple(item for _, item in newer),
            beside=sum(m.presence is Presence.CHANGED and m.item is None for _, m in found),
        )

    def _add(
        self,
        added: list[Item],
        destination: CachedVault,
        drafts: Sequence[Draft],
        earlier: Mapping[str, Sequence[Draft]],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Add drafts, one by one if they have earlier contents; append new items to ``added``."""
        alone = [each for each in drafts if not earlier.get(_entry_id(each))]
        vault = str(destination.id)
        added += self._items.add_many(alone, vault=vault, progress=progress)
        editor = self._device.require_unlocked().editor
        for each in drafts:
            if before := earlier.get(_entry_id(each)):
                added.append(editor.add_with_versions(destination.id, [*before, each]))

    def _matches(self, drafts: Sequence[Draft], vault: str | None) -> list[Match]:
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        return import_runs.matches(unlocked.reader, unlocked.destination(vault), drafts)

    def _interrupted(self, run: str, new: int, updated: int) -> ImportInterrupted:
        """Return the error that says what an interrupted run has stored on the server."""
        again = "To continue, run the same command again: it skips what is in the vault."
        try:
            stored = sum(
                len(each.unchanged) + len(each.changed)
                for each in self.import_runs()
                if each.id == run
            )
        except VaultrError:
            return ImportInterrupted(
                f"Interrupted. The server did not confirm which items it stored. {again}"
            )
        changed = f" Updated: {updated}." if updated else ""
        if not stored:
            return ImportInterrupted(f"Interrupted. No item was added.{changed}")
        undo = f"To undo: vaultr import --undo {run}"
        return ImportInterrupted(
            f"Interrupted. {stored} of {new} new items are in the vault.{changed} {again} {undo}"
        )

    def _updated(self, pair: tuple[Draft, Item]) -> Item:
        """Overwrite the matching item with the content of the draft."""
        draft, item = pair
        overview, detail = replacement(draft, item)
        return self._items.edit(
            str(item.id),
            vault=str(item.vault_id),
            overview=overview,
            detail=detail,
            revision=item.revision,
        )

    def import_runs(self) -> list[ImportRun]:
        """List the import runs whose items still exist, oldest first."""
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        return import_runs.import_runs(unlocked.reader, unlocked.reader.vaults())

    def undo_import(self, run: str) -> ImportRun:
        """Move the items of a run to the trash, except those that were changed since.

        :return: the run before the undo; ``changed`` lists the items that stay.
        :raises ItemNotFound: no item of such a run exists.
        """
        found = next((each for each in self.import_runs() if each.id == run), None)
        if found is None:
            raise ItemNotFound(
                "item-not-found",
                404,
                "No item of such an import exists. See vaultr import --list.",
            )
        self._items.trash_many([str(item.id) for item in found.unchanged])
        return found


def _entry_id(draft: Draft) -> str:
    source = draft.detail.get("source")
    return str(source.get("id")) if isinstance(source, dict) else ""


def _is_new(match: Match) -> bool:
    return match.item is None and match.presence is not Presence.SAME
