"""What can be done with vaults as a whole while the account is unlocked: keys changed, and more."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID

from vaultr.client.errors import IntegrityError, ItemNotFound
from vaultr.client.items.history import History, Version
from vaultr.client.items.move import Moved, Mover
from vaultr.client.reconciliation.accept import Accepted, Acceptor
from vaultr.client.reconciliation.explain import Difference, Explainer
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.deletion import Deleter
from vaultr.client.vaults.item_search import Finder
from vaultr.client.vaults.key_rotation import Progress, Rotated, Rotator, left_of
from vaultr.client.vaults.reader import Item, Reader, VaultInfo
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_writes import VaultWriter
from vaultr.client.vaults.vaults import Vaults
from vaultr.client.vaults.write_intents import Move, PlannedChange, RawPut
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.entries import Op


class UnlockedVaults:
    """The care for the vaults of one unlocked account.

    :param refresh: brings all vaults up to date first.
    """

    def __init__(
        self,
        account: UnlockedAccount,
        vaults: Vaults,
        writer: Writer,
        whole: VaultWriter,
        *,
        refresh: Callable[[], None],
    ) -> None:
        self._account = account
        self._vaults = vaults
        self._reader: Reader = vaults.reader
        self._finder = Finder(vaults.reader)
        self._refresh = refresh
        self._writer = writer
        self._history = History(account.session, vaults)
        self._explainer = Explainer(account, vaults)
        self._mover = Mover(account, vaults, writer)
        self._deleter = Deleter(account, vaults)
        self._rotator = Rotator(account, vaults, writer, whole)
        self._acceptor = Acceptor(account, vaults, writer, whole, self._rotator)

    def history(self, ref: str, vault: str | None) -> list[Version]:
        """List the versions of an item, newest first."""
        home, item = self._found(ref, vault)
        return self._history.versions(home, item.id)

    def version(self, ref: str, revision: int, vault: str | None) -> Version:
        """Open one version of an item."""
        home, item = self._found(ref, vault)
        return self._history.version(home, item.id, revision)

    def bring_back(self, ref: str, revision: int, vault: str | None) -> Item:
        """Write the content of a version again, out of the trash if the item is there.

        :raises EditConflict: somebody edited the item meanwhile.
        """
        home, item = self._found(ref, vault)
        version = self._history.version(home, item.id, revision)
        wishes: list[PlannedChange] = []
        if item.state == "trash":
            wishes.append(Move(Op.RESTORE, item.id, seen=item.content_revision))
        elif version.is_current:
            return item
        if not version.is_current:
            seen = item.content_revision
            wishes.append(RawPut(item.id, version.type, version.parts, seen=seen))
        written = self._writer.write(home.id, wishes)
        return self._reader.item(written, item.id)

    def _found(self, ref: str, vault: str | None) -> tuple[CachedVault, Item]:
        """Find an item among the active ones first, then in the trash."""
        self._refresh()
        where = self._reader.vaults() if vault is None else [self._reader.vault(vault)]
        return self._finder.find(ref, where, ("active",), else_in=("trash",))

    def rotate(
        self, ref: str | None, *, anew: bool = False, progress: Progress | None = None
    ) -> list[Rotated]:
        """Give one vault new keys, or all of them: those alone that are due, where any are."""
        self._refresh()
        if ref is not None:
            return [
                self._rotator.rotate(self._reader.vault(ref).id, restart=anew, progress=progress)
            ]
        chosen = {each.id: each for each in self._reader.vaults()}
        pending = [each for each, vault in chosen.items() if self._rotator.is_pending(vault)]
        if anew or not pending:
            # All devices see it: interrupted, any of them goes on with those that are left.
            self._vaults.note_keys_due({each: one.state.generation for each, one in chosen.items()})
            pending = list(chosen)
        done = [self._rotator.rotate(each, restart=False, progress=progress) for each in pending]
        for each in chosen.keys() - pending:
            self._rotator.end(each)
        return done

    def explain(self) -> list[Difference]:
        """List how the server differs; nothing is taken over."""
        return self._explainer.explain()

    def accept(self) -> list[Accepted]:
        """Accept by hand what the server shows, once its differences were listed."""
        return self._acceptor.accept()

    def was_listed(self) -> bool:
        """Tell whether what was listed last had been listed before that already."""
        return self._explainer.was_listed()

    def accept_on(self) -> list[Accepted] | None:
        """Go on with an acceptance that was begun; None where none was, or more differs by now."""
        if not self._acceptor.begun():
            return None
        try:
            self._refresh()
        except IntegrityError:
            return None
        return self._acceptor.finish()

    def delete(self, ref: str, confirm: str) -> VaultInfo:
        """Delete a vault whose name is confirmed."""
        self._refresh()
        return self._deleter.delete(ref, confirm)

    def move(self, refs: Sequence[str], to: str, *, vault: str | None, keep: bool) -> list[Item]:
        """Move active items to another vault, or copy them there."""
        self._refresh()
        target = self._reader.vault(to)
        where = self._reader.vaults() if vault is None else [self._reader.vault(vault)]
        # What is in the other vault already is not meant by a title.
        where = [each for each in where if each.id != target.id]
        by_source: dict[UUID, dict[UUID, None]] = {}
        for home, item in self._finder.find_all(refs, where, ("active",)):
            if item.state != "active":
                raise ItemNotFound("item-not-found", 404, "It is in the trash: restore it first.")
            by_source.setdefault(home.id, {})[item.id] = None
        act = self._mover.copy if keep else self._mover.move
        moved = [act(source, list(items), target.id) for source, items in by_source.items()]
        return self._shown(one for each in moved for one in each)

    def resume_move(self) -> list[Item]:
        """Go on with a move that did not come to its end on this device."""
        self._refresh()
        return self._shown(self._mover.resume())

    def _shown(self, moved: Iterable[Moved]) -> list[Item]:
        return [
            self._reader.item(self._reader.vault(each.vault_id), each.item_id) for each in moved
        ]

    def due(self) -> Iterator[str]:
        """Tell what was begun and is not done: a move of items, new keys for a vault."""
        if self._acceptor.begun():
            yield "The server's state is not accepted to the end: run vaultr sync --accept."
        unfinished = self._mover.unfinished()
        if unfinished is not None:
            yield unfinished
        for vault in self._reader.vaults():
            due = self._account.profile.keys_due(vault.id, vault.state.generation)
            if due or left_of(vault):
                name = self._reader.vault_name(vault)
                what = "are to be replaced" if due else "are not yet replaced everywhere"
                yield f"The keys of vault {name} {what}: run vaultr rotate."
