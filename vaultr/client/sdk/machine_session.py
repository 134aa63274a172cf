"""A machine's access to its vaults: no login, no profile, no agent."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from vaultr.client.crypto.machine_keys import MachineToken
from vaultr.client.errors import UsageError, VaultNotFound
from vaultr.client.items.edit import Editor
from vaultr.client.items.history import History
from vaultr.client.storage import freshness
from vaultr.client.storage.cache import Cache, CachedVault
from vaultr.client.storage.memory_cache import LockedFolder, MemoryCache, NoFolder, VaultCache
from vaultr.client.storage.private_folder import MACHINES_FOLDER, Folder
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.machine_sender import MachineSender
from vaultr.client.vaults.item_search import Finder
from vaultr.client.vaults.machine_vaults import MachineAccess, MachineKeyring, MachineVaults
from vaultr.client.vaults.reader import Item, VaultInfo, by_name
from vaultr.client.vaults.vaults import SyncReport
from vaultr.client.vaults.writer import Writer

if TYPE_CHECKING:
    import httpx2

_FOLDER_VARIABLE: Final = "VAULTR_DIR"


@dataclass(frozen=True, slots=True)
class _MachineStore:
    """The storage of a machine's copies: its own folder, or memory."""

    folder: LockedFolder
    cache: VaultCache


class OpenMachine:
    """The vaults of one machine, with the objects that read and write them."""

    def __init__(self, access: MachineAccess, noted: Folder | None) -> None:
        self._access = access
        self._noted = noted
        self.vaults = MachineVaults(access)
        self.reader = self.vaults.reader
        self.finder = Finder(self.reader)
        self.writer = Writer(access, self.vaults)

    @cached_property
    def history(self) -> History:
        """Earlier versions of items."""
        return History(self._access.session, self.vaults)

    @cached_property
    def editor(self) -> Editor:
        """Adds and edits items."""
        return Editor(self.reader, self.writer, lambda: self.history, self.notices.append)

    @property
    def notices(self) -> list[str]:
        """Messages for the user that are not errors."""
        return self.vaults.notices

    def refresh(self, *, list_again: bool = False) -> list[SyncReport]:
        """Bring all vaults up to date."""
        reports = self.vaults.sync_all(list_again=list_again)
        if self._noted is not None:
            freshness.note(self._noted)
        return reports

    def prepare(self, *, offline: bool) -> None:
        """Bring all vaults up to date, unless ``offline``."""
        if not offline:
            self.refresh()

    def chosen(self, ref: str | None) -> list[CachedVault]:
        """Return the vault with this id or name, or all vaults."""
        if ref is None:
            return self.reader.vaults()
        try:
            return [self.reader.vault(ref)]
        except VaultNotFound:
            if self.vaults.is_listed:
                raise
        # The owner may have added the vault after the cache was created.
        self.refresh(list_again=True)
        return [self.reader.vault(ref)]

    def destination(self, ref: str | None) -> CachedVault:
        """Return the vault to add items to; if there are several, ``ref`` must name it."""
        if not self.reader.vaults():
            self.refresh()
        return self.chosen(ref)[0] if ref is not None else self.reader.vault(None)

    def first_seen(self, vault: CachedVault, item: Item) -> Item | None:
        """Return None: nobody looks at an item before a machine changes it."""
        return None


class MachineSession:
    """A machine with its token; it needs no login.

    :ivar home: the folder in which each machine has its own folder; None without one.
    :ivar folder: this machine's own folder; None if its copies are in memory.
    :ivar unlocked: the vaults, until the session is closed.
    """

    agent: Final = None

    def __init__(
        self,
        url: str | None,
        token: str,
        *,
        home: Path | None = None,
        transport: "httpx2.BaseTransport | None" = None,
        ca_file: Path | None = None,
        offline: bool = False,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        if url is None:
            raise UsageError(
                "No server is set for the machine: use --url https://vault.example or VAULTR_URL."
            )
        self.url, self.token, self.ca_file = url, MachineToken.parse(token), ca_file
        named = os.environ.get(_FOLDER_VARIABLE)
        self.home = home or (Path(named).absolute() if named else None)
        self.folder = _own_folder(self.home, self.token)
        store = (
            _MachineStore(NoFolder(), MemoryCache())
            if self.folder is None
            else _MachineStore(self.folder, Cache(self.folder))
        )
        self._transport = Transport(
            url, transport=transport, ca_file=ca_file, offline=offline, waiting=waiting
        )
        access = MachineAccess(
            store=store,
            session=MachineSender(self._transport, self.token),
            account_id=self.token.machine_id,
            profile=MachineKeyring(self.token),
        )
        self.unlocked: OpenMachine | None = OpenMachine(access, self.folder)

    def require_unlocked(self) -> OpenMachine:
        """Return the machine's vaults.

        :raises UsageError: the session was closed.
        """
        if self.unlocked is None:
            raise UsageError("This machine's session is closed.")
        return self.unlocked

    @property
    def age(self) -> timedelta | None:
        """The time since the last sync; None if unknown, or without a folder."""
        return None if self.folder is None else freshness.age(self.folder)

    def vaults(self, *, offline: bool = False) -> list[VaultInfo]:
        """List the vaults by name."""
        opened = self.require_unlocked()
        opened.prepare(offline=offline)
        return sorted(map(opened.reader.info, opened.reader.vaults()), key=by_name)

    def sync(self) -> list[SyncReport]:
        """Fetch and verify changes, and ask which vaults the machine may open."""
        return self.require_unlocked().refresh(list_again=True)

    def close(self) -> None:
        """Forget the keys and close the connection."""
        self.unlocked = None
        self._transport.close()

    def exit(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session at the end of a ``with`` block, with or without an exception."""
        self.close()


def _own_folder(home: Path | None, token: MachineToken) -> Folder | None:
    """Return the machine's own folder; None if there is no writable folder."""
    if home is None:
        return None
    own = home / MACHINES_FOLDER / str(token.machine_id)
    with contextlib.suppress(OSError):
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(own, os.W_OK | os.X_OK):
            return Folder(own)
    return None
