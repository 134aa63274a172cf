"""The vaults of an unlocked account, with the objects that read and write them."""

import contextlib
from collections.abc import Iterable, Iterator
from functools import cached_property, partial
from typing import Final

from vaultr.client.errors import Locked, SealBroken
from vaultr.client.items.edit import Editor
from vaultr.client.items.history import History
from vaultr.client.items.move import Mover
from vaultr.client.reconciliation.accept import Acceptor
from vaultr.client.reconciliation.explain import Explainer
from vaultr.client.storage import freshness
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.item_search import Finder
from vaultr.client.vaults.key_rotation import Rotator, left_of
from vaultr.client.vaults.new_generation import NewGenerations
from vaultr.client.vaults.reader import Item
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_writes import VaultWriter
from vaultr.client.vaults.vaults import FIRST_NAME, Vaults
from vaultr.client.vaults.writer import Writer

_ACCEPT_UNFINISHED: Final = (
    "The server's state has not been accepted completely: run vaultr sync --accept."
)


class UnlockedVaults:
    """The vaults of one account, from unlocking to locking.

    :ivar profile_is_due: whether heads may have changed since the profile was last written.
    """

    def __init__(self, account: UnlockedAccount) -> None:
        self.account = account
        self.profile_is_due = False
        self.vaults = Vaults(account)
        self.reader = self.vaults.reader
        self.writer = Writer(account, self.vaults, partial(NewGenerations, account))
        # The vaults before the first request, which the user may have seen.
        self._first_seen: dict[object, CachedVault] = {}

    @cached_property
    def finder(self) -> Finder:
        """Finds items by name."""
        return Finder(self.reader)

    @cached_property
    def vault_writer(self) -> VaultWriter:
        """Writes to a vault as a whole: its name, its keys."""
        return VaultWriter(self.account, self.reader, self.writer)

    @cached_property
    def history(self) -> History:
        """Earlier versions of items."""
        return History(self.account.session, self.vaults)

    @cached_property
    def editor(self) -> Editor:
        """Adds and edits items."""
        return Editor(self.reader, self.writer, lambda: self.history, self.notices.append)

    @cached_property
    def mover(self) -> Mover:
        """Moves items between vaults."""
        return Mover(self.account, self.vaults, self.writer)

    @cached_property
    def explainer(self) -> Explainer:
        """Lists how the server's state differs from this device's copies."""
        return Explainer(self.account, self.vaults)

    @cached_property
    def acceptor(self) -> Acceptor:
        """Accepts the state of a server that was restored from a backup."""
        rotator = Rotator(self.account, self.vaults, self.writer, self.vault_writer)
        return Acceptor(self.account, self.vaults, self.writer, self.vault_writer, rotator)

    @property
    def notices(self) -> list[str]:
        """Messages for the user that are not errors."""
        return self.vaults.notices

    def refresh(self) -> None:
        """Bring all vaults up to date."""
        self.note_first_seen()
        self.vaults.sync_all()
        freshness.note(self.account.store.folder)

    def note_first_seen(self) -> None:
        """Store the vaults in their state before the server is contacted."""
        for vault in self.reader.vaults():
            self._first_seen.setdefault(vault.id, vault)
        self.profile_is_due = True

    def prepare(self, *, offline: bool) -> None:
        """Bring all vaults up to date; with ``offline``, only check their age."""
        if offline:
            self.notify(self.outdated_copies())
        else:
            self.refresh()
            self.notify(self.unfinished_work())

    def notify(self, notices: Iterable[str]) -> None:
        """Add messages for the user, each once."""
        self.notices.extend(each for each in notices if each not in self.notices)

    def outdated_copies(self) -> list[str]:
        """List the copies that are older than a head that this device has seen."""
        found = []
        for vault in self.reader.vaults():
            known = self.account.profile.head_of(vault.id)
            if known is not None and known.n > vault.state.n:
                name = self.reader.vault_name(vault)
                found.append(
                    f"The copy of vault {name} on this device is at revision {vault.state.n}, but "
                    f"it has seen revision {known.n}: somebody may have replaced the copy by an "
                    "older one. Bring it up to date: vaultr sync."
                )
        return found

    def unfinished_work(self) -> Iterator[str]:
        """List unfinished changes, each with the command that continues it."""
        if self.acceptor.begun():
            yield _ACCEPT_UNFINISHED
        unfinished_move = self.mover.unfinished()
        if unfinished_move is not None:
            yield unfinished_move
        for vault in self.reader.vaults():
            due = self.account.profile.keys_due(vault.id, vault.state.generation)
            if due or left_of(vault):
                name = self.reader.vault_name(vault)
                what = "must be replaced" if due else "are not yet replaced everywhere"
                yield f"The keys of vault {name} {what}: run vaultr rotate."

    def chosen(self, ref: str | None) -> list[CachedVault]:
        """Return the vault with this id or name, or all vaults."""
        return self.reader.vaults() if ref is None else [self.reader.vault(ref)]

    def destination(self, ref: str | None) -> CachedVault:
        """Return the vault to add items to; a new account gets its first one."""
        if not self.reader.vaults():
            self.vaults.sync_all()
        self.profile_is_due = True
        vaults = self.reader.vaults()
        if ref is None and len(vaults) > 1:
            names = [self.reader.vault_name(vault) for vault in vaults]
            # A second vault must not change where items are added by default.
            if names.count(FIRST_NAME) == 1:
                return vaults[names.index(FIRST_NAME)]
        return self.reader.vault(ref)

    def first_seen(self, vault: CachedVault, item: Item) -> Item | None:
        """Open an item as this device held it before its first request to the server."""
        seen = self._first_seen.get(vault.id)
        if seen is None or item.id not in seen.state.items or seen.volume != vault.volume:
            return None
        try:
            return self.editor.revealed(seen, item.id)
        except SealBroken:  # nobody saw content that could not be opened
            return None

    def write_profile(self, *, now: bool) -> None:
        """Write the profile if a head has changed.

        If another command has replaced the account key, the next command writes it instead.

        :param now: even if this device wrote the profile less than a minute ago.
        """
        with contextlib.suppress(Locked):
            # A write that was postponed for a minute is still due when the client is closed.
            self.profile_is_due = not self.vaults.settle(now=now)
