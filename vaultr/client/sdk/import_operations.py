"""Imports drafts into a vault under the id of one run, and undoes a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vaultr.client.errors import ItemNotFound
from vaultr.client.items.duplicates import Presence
from vaultr.client.items.import_runs import ImportRun, Match, marked, new_run_id, replacement
from vaultr.client.items.schemas import Draft
from vaultr.client.sdk.item_operations import Unlocked
from vaultr.client.vaults.reader import Item
from vaultr.protocol.entries import Op


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    :ivar added: the new items; ``updated`` those that got the newer content.
    :ivar same: how many entries the vault had already.
    :ivar differing: items whose entry in the file has another content, which were left alone.
    :ivar beside: how many new items have the type, title and user name of another one.
    """

    run: str
    added: tuple[Item, ...] = field(repr=False)
    updated: tuple[Item, ...] = field(repr=False)
    same: int
    differing: tuple[Item, ...] = field(repr=False)
    beside: int


def import_drafts(
    unlocked: Unlocked,
    drafts: Sequence[Draft],
    vault: str | None,
    *,
    update: bool,
    again: bool,
    progress: Callable[[int, int], None] | None,
) -> ImportReport:
    """Import drafts; see :meth:`vaultr.client.vaultr_client.Vaultr.import_drafts`."""
    run, now = new_run_id(), datetime.now(UTC)
    found = list(zip(drafts, unlocked.matches(drafts, vault), strict=True))
    new = [draft for draft, match in found if again or _is_new(match)]
    unlocked.check_room(new, vault)
    added = unlocked.add_many([marked(each, run, now) for each in new], vault, progress)
    newer = [
        (draft, match.item)
        for draft, match in found
        if match.item is not None and match.presence is Presence.CHANGED
    ]
    updated = [_updated(unlocked, *each) for each in newer] if update else []
    return ImportReport(
        run=run,
        added=tuple(added),
        updated=tuple(updated),
        same=sum(match.presence is Presence.SAME for _, match in found),
        differing=() if update else tuple(item for _, item in newer),
        beside=sum(m.presence is Presence.CHANGED and m.item is None for _, m in found),
    )


def _is_new(match: Match) -> bool:
    return match.item is None and match.presence is not Presence.SAME


def _updated(unlocked: Unlocked, draft: Draft, item: Item) -> Item:
    """Write the content of the draft over the item that was compared with it."""
    overview, detail = replacement(draft, item)
    return unlocked.edit(
        str(item.id),
        vault=str(item.vault_id),
        overview=overview,
        detail=detail,
        revision=item.revision,
    )


def undo_import(unlocked: Unlocked, run: str) -> ImportRun:
    """Undo one run; see :meth:`vaultr.client.vaultr_client.Vaultr.undo_import`."""
    found = next((each for each in unlocked.import_runs() if each.id == run), None)
    if found is None:
        raise ItemNotFound(
            "item-not-found", 404, "No item of such an import is here. See vaultr import --list."
        )
    unlocked.move(Op.TRASH, [str(item.id) for item in found.unchanged], None)
    return found
