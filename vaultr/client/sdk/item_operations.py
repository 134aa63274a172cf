"""Item operations of the SDK: list, read by reference, add, edit, trash, restore."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

from vaultr.client.errors import Locked, SealBroken
from vaultr.client.items.duplicates import Presence, presence
from vaultr.client.items.references import Reference, Resolver
from vaultr.client.items.schemas import Draft
from vaultr.client.items.state_changes import move_all
from vaultr.client.log.entries import ItemState
from vaultr.client.sdk.open_vaults import OpenVaults, VaultDevice
from vaultr.client.vaults.reader import ANY_STATE, Item
from vaultr.client.vaults.write_intents import Move, PlannedChange, RawPut
from vaultr.protocol.entries import Op

_ACTIVE: Final[tuple[ItemState, ...]] = ("active",)
_TRASH: Final[tuple[ItemState, ...]] = ("trash",)


class ItemOperations:
    """Reads and writes the items of one account."""

    def __init__(self, device: VaultDevice) -> None:
        self._device = device

    def items(
        self,
        *,
        vault: str | None = None,
        type: str | None = None,
        state: Literal["active", "trash", "any"] = "active",
        offline: bool = False,
    ) -> list[Item]:
        """List items by their overviews, without opening details.

        :param offline: use this device's copy; do not contact the server.
        """
        return list(self.each_item(vault=vault, type=type, state=state, offline=offline))

    def each_item(
        self,
        *,
        vault: str | None = None,
        type: str | None = None,
        state: Literal["active", "trash", "any"] = "active",
        offline: bool = False,
    ) -> Iterator[Item]:
        """Yield the items that :meth:`items` lists, opening each one only when it is reached.

        :raises Locked: the device was locked before all items were opened.
        """
        states = ANY_STATE if state == "any" else (state,)
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=offline)
        return self._while_unlocked(
            unlocked, unlocked.reader.items(unlocked.chosen(vault), states, type)
        )

    def each_revealed(
        self,
        *,
        vault: str | None = None,
        state: Literal["active", "trash", "any"] = "active",
        offline: bool = False,
    ) -> Iterator[Item]:
        """Yield items with their details; contact the server once.

        An item that cannot be opened has no detail.

        :raises Locked: the device was locked before all items were opened.
        """
        states = ANY_STATE if state == "any" else (state,)
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=offline)

        def revealed() -> Iterator[Item]:
            for home in unlocked.chosen(vault):
                for item in unlocked.reader.items([home], states):
                    try:
                        yield unlocked.reader.with_detail(home, item)
                    except SealBroken:
                        yield item

        return self._while_unlocked(unlocked, revealed())

    def _while_unlocked(self, unlocked: OpenVaults, items: Iterator[Item]) -> Iterator[Item]:
        while self._device.unlocked is unlocked:
            item = next(items, None)
            if item is None:
                return
            yield item
        raise Locked("This device was locked before all items were opened.")

    def item(
        self, ref: str, *, vault: str | None = None, reveal: bool = True, offline: bool = False
    ) -> Item:
        """Return one item, by its id or unique title, with its detail unless ``reveal`` is False.

        Active items take precedence over items in the trash.
        """
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=offline)
        home, item = unlocked.finder.find(ref, unlocked.chosen(vault), _ACTIVE, else_in=_TRASH)
        return unlocked.reader.with_detail(home, item) if reveal else item

    def read(self, reference: str, *, offline: bool = False) -> str:
        """Return the value of ``vaultr://vault/item/field``.

        With ``?as=code`` at its end, return the current one-time code of the field's secret.

        :raises UsageError: the text is not a reference.
        :raises ItemNotFound: no such item exists, or it is in the trash.
        """
        parsed = Reference.parse(reference)
        return self.resolver(offline=offline).value(parsed)

    def resolver(self, *, offline: bool = False) -> Resolver:
        """Return a reader for any number of references; contact the server once, now."""
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=offline)

        def find(vault: str, ref: str) -> Item:
            home, item = unlocked.finder.find(ref, unlocked.chosen(vault), _ACTIVE)
            return unlocked.reader.with_detail(home, item)

        return Resolver(find)

    def add(
        self,
        type: str,
        overview: dict[str, Any],
        detail: dict[str, Any],
        *,
        vault: str | None = None,
    ) -> Item:
        """Add an item."""
        unlocked = self._device.require_unlocked()
        return unlocked.editor.add(unlocked.destination(vault).id, Draft(type, overview, detail))

    def add_many(
        self,
        drafts: Sequence[Draft],
        *,
        vault: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Item]:
        """Add items in batches of up to 1,000.

        :param progress: called after each batch with the number of items added, and of all items.
        """
        unlocked = self._device.require_unlocked()
        return unlocked.editor.add_many(unlocked.destination(vault).id, drafts, progress)

    def presence(self, drafts: Sequence[Draft], *, vault: str | None = None) -> list[Presence]:
        """Return for each draft whether the vault already has it, with the same content or not.

        Items are matched by type, title and username, so that an import need not add an item twice.
        """
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        return presence(unlocked.reader, unlocked.destination(vault), drafts)

    def edit(
        self,
        ref: str,
        *,
        overview: dict[str, Any] | None = None,
        detail: dict[str, Any] | None = None,
        revision: int | None = None,
        vault: str | None = None,
    ) -> Item:
        """Change fields of an item: a value replaces a field, None removes it, other fields stay.

        Each name within ``variables`` of an environment set counts as a field.

        :param revision: the revision that the user saw.
        :raises EditConflict: others have changed the same fields, which the error names.
        """
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        home, item = unlocked.finder.find(ref, unlocked.chosen(vault), _ACTIVE)
        return unlocked.editor.edit(
            home,
            unlocked.reader.with_detail(home, item),
            overview=overview,
            detail=detail,
            revision=revision,
            before=unlocked.first_seen(home, item),
        )

    def trash(self, ref: str, *, vault: str | None = None) -> Item:
        """Move an item to the trash."""
        return self.trash_many([ref], vault=vault)[0]

    def trash_many(self, refs: Sequence[str], *, vault: str | None = None) -> list[Item]:
        """Move items to the trash: all in one write, or none if one of them does not exist.

        Items of several vaults, or more than fit in one batch, take several writes.
        """
        return self._change_state(Op.TRASH, refs, vault)

    def restore(self, ref: str, *, vault: str | None = None) -> Item:
        """Take an item out of the trash."""
        return self.restore_many([ref], vault=vault)[0]

    def restore_many(self, refs: Sequence[str], *, vault: str | None = None) -> list[Item]:
        """Take items out of the trash, in one write like :meth:`trash_many`."""
        return self._change_state(Op.RESTORE, refs, vault)

    def bring_back(self, ref: str, revision: int, *, vault: str | None = None) -> Item:
        """Write the content of a version again, and take the item out of the trash.

        :raises NoSuchVersion: the server does not keep this revision.
        :raises EditConflict: somebody edited the item in the meantime.
        """
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        chosen = unlocked.chosen(vault)
        home, item = unlocked.finder.find(ref, chosen, _ACTIVE, else_in=_TRASH)
        version = unlocked.history.version(home, item.id, revision)
        changes: list[PlannedChange] = []
        if item.state == "trash":
            changes.append(Move(Op.RESTORE, item.id, seen=item.content_revision))
        elif version.is_current:
            return item
        if not version.is_current:
            seen = item.content_revision
            changes.append(RawPut(item.id, version.type, version.parts, seen=seen))
        written = unlocked.writer.write(home.id, changes)
        return unlocked.reader.item(written, item.id)

    def remove(self, ref: str, *, vault: str | None = None) -> None:
        """Delete an item permanently, with its versions."""
        self.remove_many([ref], vault=vault)

    def remove_many(self, refs: Sequence[str], *, vault: str | None = None) -> None:
        """Delete items permanently, in one write like :meth:`trash_many`."""
        self._change_state(Op.REMOVE, refs, vault)

    def _change_state(self, op: Op, refs: Sequence[str], vault: str | None) -> list[Item]:
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        states = {Op.TRASH: _ACTIVE, Op.RESTORE: _TRASH}.get(op, ANY_STATE)
        found = unlocked.finder.find_all(refs, unlocked.chosen(vault), states)
        return move_all(unlocked.reader, unlocked.writer, op, found)
