"""What can be done with an unlocked account: its vaults synced, its items found and written."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from vaultr.client.errors import Locked, SealBroken
from vaultr.client.items.duplicates import Presence, presence
from vaultr.client.items.edit import Editor, Progress
from vaultr.client.items.history import History
from vaultr.client.items.import_runs import ImportRun, Match, check_room, import_runs, matches
from vaultr.client.items.references import Resolver
from vaultr.client.items.schemas import Draft
from vaultr.client.items.state_changes import move_all
from vaultr.client.log.entries import ItemState
from vaultr.client.sdk.vault_operations import UnlockedVaults
from vaultr.client.storage import freshness
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults import trash_purge
from vaultr.client.vaults.item_search import Finder
from vaultr.client.vaults.reader import ANY_STATE, Item, VaultInfo, by_name
from vaultr.client.vaults.unlocked_account import OpenedAccount
from vaultr.client.vaults.vault_writes import VaultWriter
from vaultr.client.vaults.vaults import FIRST_NAME, SyncReport, Vaults
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.entries import Op

Part = dict[str, Any]
_ACTIVE: Final[tuple[ItemState, ...]] = ("active",)
_TRASH: Final[tuple[ItemState, ...]] = ("trash",)


class Unlocked:
    """The account's vaults and items, while it is unlocked.

    :ivar touched: whether the server was asked for, or told of, heads since the last settling.
    """

    def __init__(self, account: OpenedAccount) -> None:
        self.account = account
        self.touched = False
        self._vaults = Vaults(account)
        self._reader = self._vaults.reader
        self._finder = Finder(self._reader)
        self._writer = Writer(account, self._vaults)
        self._whole = VaultWriter(account, self._reader, self._writer)
        history = History(account.session, self._vaults)
        self._editor = Editor(self._reader, self._writer, history, self.notices.append)
        self.vaults = UnlockedVaults(
            account,
            self._vaults,
            self._writer,
            self._whole,
            refresh=self._bring,
        )
        # The vaults as this device held them before it first asked: what the user may have seen.
        self._seen: dict[object, CachedVault] = {}

    @property
    def notices(self) -> list[str]:
        """What the owner has to be told, and is no error."""
        return self._vaults.notices

    def sync(self) -> list[SyncReport]:
        """Bring all vaults up to date, and remove what lay in the trash for 30 days."""
        self._fetch()
        reports = self._vaults.sync_all()
        self._tell(self.vaults.due())
        removed = [self._remove_old(vault) for vault in self._reader.vaults()]
        reports = self._vaults.sync_all() if any(removed) else reports
        freshness.note(self.account.store.folder)
        return reports

    def _fetch(self) -> None:
        for vault in self._reader.vaults():
            self._seen.setdefault(vault.id, vault)
        self.touched = True

    def _remove_old(self, vault: CachedVault) -> bool:
        server_time = self.account.session.server_time()
        return trash_purge.remove_old(
            vault, self._writer, server_time=server_time, tell=lambda each: self._tell([each])
        )

    def infos(self, *, offline: bool) -> list[VaultInfo]:
        """Describe all vaults."""
        self._refresh(offline=offline)
        return sorted(map(self._reader.info, self._reader.vaults()), key=by_name)

    def create_vault(self, name: str) -> VaultInfo:
        """Make a vault."""
        self._refresh(offline=False)
        return self._reader.info(self._vaults.create(name))

    def rename_vault(self, ref: str, name: str) -> VaultInfo:
        """Rename a vault."""
        self._refresh(offline=False)
        return self._reader.info(self._whole.rename(self._reader.vault(ref).id, name))

    def items(
        self, *, vault: str | None, type: str | None, states: tuple[ItemState, ...], offline: bool
    ) -> Iterator[Item]:
        """Open the overviews of the items that fit, one after another."""
        self._refresh(offline=offline)
        return self._reader.items(self._within(vault), states, type)

    def revealed(
        self, *, vault: str | None, states: tuple[ItemState, ...], offline: bool
    ) -> Iterator[Item]:
        """Open items with their details, one after another; one that does not open has none."""
        self._refresh(offline=offline)
        for home in self._within(vault):
            for item in self._reader.items([home], states):
                try:
                    yield self._reader.with_detail(home, item)
                except SealBroken:
                    yield item

    def item(self, ref: str, *, vault: str | None, reveal: bool, offline: bool) -> Item:
        """Find one item: among the active ones first, then in the trash."""
        self._refresh(offline=offline)
        home, item = self._finder.find(ref, self._within(vault), _ACTIVE, else_in=_TRASH)
        return self._reader.with_detail(home, item) if reveal else item

    def resolver(self, *, offline: bool) -> Resolver:
        """Read what references name; the server is asked once, now, and not for each."""
        self._refresh(offline=offline)
        return Resolver(self._active)

    def _active(self, vault: str, ref: str) -> Item:
        home, item = self._finder.find(ref, self._within(vault), _ACTIVE)
        return self._reader.with_detail(home, item)

    def add(self, draft: Draft, vault: str | None) -> Item:
        """Add one item."""
        return self._editor.add(self._home(vault).id, draft)

    def add_many(
        self, drafts: Sequence[Draft], vault: str | None, progress: Progress | None
    ) -> list[Item]:
        """Add items in batches."""
        return self._editor.add_many(self._home(vault).id, drafts, progress)

    def edit(
        self,
        ref: str,
        *,
        vault: str | None,
        overview: Part | None,
        detail: Part | None,
        revision: int | None,
    ) -> Item:
        """Edit an item as its user saw it."""
        self._refresh(offline=False)
        home, found = self._finder.find(ref, self._within(vault), _ACTIVE)
        return self._editor.edit(
            home,
            self._reader.with_detail(home, found),
            overview=overview,
            detail=detail,
            revision=revision,
            before=self._before(home, found),
        )

    def _before(self, home: CachedVault, item: Item) -> Item | None:
        """Open an item as this device held it before it first asked the server."""
        seen = self._seen.get(home.id)
        if seen is None or item.id not in seen.state.items or seen.volume != home.volume:
            return None
        try:
            return self._editor.revealed(seen, item.id)
        except SealBroken:  # it opens by now, and what did not is nothing that anybody saw
            return None

    def move(self, op: Op, refs: Sequence[str], vault: str | None) -> list[Item]:
        """Trash, restore or remove items; they are shown as they were before they are removed."""
        self._refresh(offline=False)
        states = {Op.TRASH: _ACTIVE, Op.RESTORE: _TRASH}.get(op, ANY_STATE)
        found = self._finder.find_all(refs, self._within(vault), states)
        return move_all(self._reader, self._writer, op, found)

    def presence(self, drafts: Sequence[Draft], vault: str | None) -> list[Presence]:
        """Tell which drafts are there already, where :meth:`add_many` would put them."""
        self._refresh(offline=False)
        return presence(self._reader, self._home(vault), drafts)

    def matches(self, drafts: Sequence[Draft], vault: str | None) -> list[Match]:
        """Compare drafts with the vault where :meth:`add_many` would put them."""
        self._refresh(offline=False)
        return matches(self._reader, self._home(vault), drafts)

    def check_room(self, drafts: Sequence[Draft], vault: str | None) -> None:
        """Check that the vault where :meth:`add_many` would put drafts has room for them."""
        check_room(self._home(vault), drafts)

    def import_runs(self) -> list[ImportRun]:
        """List the runs of imports whose items are still there."""
        self._refresh(offline=False)
        return import_runs(self._reader, self._reader.vaults())

    def settle(self, *, now: bool) -> None:
        """Write the profile if a head moved.

        Where another command replaced the account's key, nothing that was answered fails for that:
        whichever command comes next writes what the copies know.
        """
        with contextlib.suppress(Locked):
            # What was put off for a minute is still to be written when the client is closed.
            self.touched = not self._vaults.settle(now=now)

    def behind(self) -> list[str]:
        """Tell which copies are older than what the profile shows that this device has seen."""
        found = []
        for vault in self._reader.vaults():
            known = self.account.profile.head_of(vault.id)
            if known is not None and known.n > vault.state.n:
                name = self._reader.vault_name(vault)
                found.append(
                    f"The copy of vault {name} is at revision {vault.state.n}, and {known.n} was "
                    "seen: somebody may have put an older one there. Bring it up to date: "
                    "vaultr sync."
                )
        return found

    def _refresh(self, *, offline: bool) -> None:
        if offline:
            self._tell(self.behind())
        else:
            self._bring()
            self._tell(self.vaults.due())

    def _bring(self) -> None:
        self._fetch()
        self._vaults.sync_all()
        freshness.note(self.account.store.folder)

    def _tell(self, notices: Iterable[str]) -> None:
        self.notices.extend(each for each in notices if each not in self.notices)

    def _within(self, ref: str | None) -> list[CachedVault]:
        return self._reader.vaults() if ref is None else [self._reader.vault(ref)]

    def _home(self, ref: str | None) -> CachedVault:
        """Find the vault that something is added to; a new account gets its first one."""
        if not self._reader.vaults():
            self._vaults.sync_all()
        self.touched = True
        vaults = self._reader.vaults()
        if ref is None and len(vaults) > 1:
            names = [self._reader.vault_name(vault) for vault in vaults]
            # A second vault does not change where things go that name none.
            if names.count(FIRST_NAME) == 1:
                return vaults[names.index(FIRST_NAME)]
        return self._reader.vault(ref)
