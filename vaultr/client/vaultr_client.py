"""The SDK's face: one object for one account on one device, for one thread.

    with Vaultr("https://vault.example") as vaultr:
        vaultr.unlock(password)
        print(vaultr.item("Mail").overview["username"])

Everything but ``__all__`` is private.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from vaultr.client.account.emergency_kit import Kit, read_kit
from vaultr.client.account.open_account import NotSignedIn, SecretKeyNeeded, WrongPassword
from vaultr.client.account.password_change import PasswordChanged
from vaultr.client.account.password_policy import WeakPassword
from vaultr.client.account.recovery import Recovery
from vaultr.client.account.sessions_and_factors import FactorInfo, SessionInfo, TotpBegun
from vaultr.client.account.signup import Signup
from vaultr.client.crypto.recovery_key import RecoveryKey
from vaultr.client.errors import Locked
from vaultr.client.items.duplicates import Presence
from vaultr.client.items.history import NoSuchVersion, Version
from vaultr.client.items.import_runs import ImportRun, Match, NoRoom
from vaultr.client.items.references import Reference, Resolver
from vaultr.client.items.schemas import Draft
from vaultr.client.reconciliation.accept import Accepted, NotShown
from vaultr.client.reconciliation.explain import Difference
from vaultr.client.sdk import import_operations
from vaultr.client.sdk.import_operations import ImportReport
from vaultr.client.sdk.item_operations import Unlocked
from vaultr.client.sdk.vault_methods import VaultMethods
from vaultr.client.vaults.key_rotation import Rotated
from vaultr.client.vaults.name_matching import Ambiguous
from vaultr.client.vaults.reader import ANY_STATE, Item, VaultInfo
from vaultr.client.vaults.vaults import SyncReport
from vaultr.client.vaults.write_intents import EditConflict
from vaultr.protocol.entries import Op

__all__ = [
    "Accepted",
    "Ambiguous",
    "Difference",
    "Draft",
    "EditConflict",
    "FactorInfo",
    "ImportReport",
    "ImportRun",
    "Item",
    "Kit",
    "Match",
    "NoRoom",
    "NoSuchVersion",
    "NotShown",
    "NotSignedIn",
    "PasswordChanged",
    "Presence",
    "Recovery",
    "RecoveryKey",
    "Reference",
    "Resolver",
    "Rotated",
    "SecretKeyNeeded",
    "SessionInfo",
    "Signup",
    "SyncReport",
    "TotpBegun",
    "VaultInfo",
    "Vaultr",
    "Version",
    "WeakPassword",
    "WrongPassword",
    "read_kit",
]


class Vaultr(VaultMethods):
    """An account's vaults, as one device sees them.

    :param url: the server; by default the one that this device belongs to.
    :param home: the client's folder; by default ``VAULTR_DIR``, else the platform's.
    :param transport: what carries requests, such as ``httpx2.WSGITransport`` in a test.
    :param ca_file: certificates of authorities to trust, in place of the system's.
    :param agent: whether keys may be taken from, and handed to, the unlock process.
    """

    def items(
        self,
        *,
        vault: str | None = None,
        type: str | None = None,
        state: Literal["active", "trash", "any"] = "active",
        offline: bool = False,
    ) -> list[Item]:
        """List items by their overviews; no detail is opened.

        :param offline: from the cache alone; the server is not asked.
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
        """Give items one after another, as :meth:`items` lists them; each is opened in its turn."""
        states = ANY_STATE if state == "any" else (state,)
        opened = self._opened()
        found = opened.items(vault=vault, type=type, states=states, offline=offline)
        return self._while_opened(opened, found)

    def each_revealed(
        self,
        *,
        vault: str | None = None,
        state: Literal["active", "trash", "any"] = "active",
        offline: bool = False,
    ) -> Iterator[Item]:
        """Return items with their details, one after another, asking the server once.

        An item that does not open has no detail.
        """
        states = ANY_STATE if state == "any" else (state,)
        opened = self._opened()
        found = opened.revealed(vault=vault, states=states, offline=offline)
        return self._while_opened(opened, found)

    def _while_opened(self, opened: Unlocked, found: Iterator[Item]) -> Iterator[Item]:
        while self._unlocked is opened:
            item = next(found, None)
            if item is None:
                return
            yield item
        raise Locked("The keys were forgotten before all items were opened.")

    def item(
        self, ref: str, *, vault: str | None = None, reveal: bool = True, offline: bool = False
    ) -> Item:
        """Find one item by its id or unique title; reveal its detail, or not."""
        return self._opened().item(ref, vault=vault, reveal=reveal, offline=offline)

    def read(self, reference: str, *, offline: bool = False) -> str:
        """Read the value that ``vaultr://vault/item/field`` names.

        With ``?as=code`` behind it, it is the one-time code that the field's secret gives now.

        :raises UsageError: it is no reference.
        :raises ItemNotFound: there is no such item, or it is in the trash.
        """
        wanted = Reference.parse(reference)
        return self.resolver(offline=offline).value(wanted)

    def resolver(self, *, offline: bool = False) -> Resolver:
        """Give what reads many references, asking the server once."""
        return self._opened().resolver(offline=offline)

    def add(
        self,
        type: str,
        overview: dict[str, Any],
        detail: dict[str, Any],
        *,
        vault: str | None = None,
    ) -> Item:
        """Add an item."""
        return self._opened().add(Draft(type, overview, detail), vault)

    def add_many(
        self,
        drafts: Sequence[Draft],
        *,
        vault: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Item]:
        """Add items in batches, up to 1,000 in one write; ``progress`` is told (done, of)."""
        return self._opened().add_many(drafts, vault, progress)

    def presence(self, drafts: Sequence[Draft], *, vault: str | None = None) -> list[Presence]:
        """Tell of each draft whether the vault has it: not, as it is, or with another content.

        What has its type, title and user name is taken for it. So nothing need be added twice.
        """
        return self._opened().presence(drafts, vault)

    def import_drafts(
        self,
        drafts: Sequence[Draft],
        *,
        vault: str | None = None,
        update: bool = False,
        again: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> ImportReport:
        """Add drafts that another manager's file was read into, under the id of one run.

        :param update: write the newer content of entries that were imported before.
        :param again: add also what the vault has already.
        :raises NoRoom: the vault has no room for the new items; nothing was written.
        """
        return import_operations.import_drafts(
            self._opened(), drafts, vault, update=update, again=again, progress=progress
        )

    def import_runs(self) -> list[ImportRun]:
        """List the import runs whose items are still there, oldest first."""
        return self._opened().import_runs()

    def undo_import(self, run: str) -> ImportRun:
        """Move to the trash what a run added and nobody has changed since.

        :return: the run as it was; ``changed`` lists what stays.
        :raises ItemNotFound: no item of such a run is there.
        """
        return import_operations.undo_import(self._opened(), run)

    def edit(
        self,
        ref: str,
        *,
        overview: dict[str, Any] | None = None,
        detail: dict[str, Any] | None = None,
        revision: int | None = None,
        vault: str | None = None,
    ) -> Item:
        """Change fields of an item: those given replace, None removes, others stay.

        In the ``variables`` of an environment set each name is such a field of its own.

        :param revision: the revision that the user saw.
        :raises EditConflict: the content has changed since; it names the fields that differ.
        """
        return self._opened().edit(
            ref, vault=vault, overview=overview, detail=detail, revision=revision
        )

    def trash(self, ref: str, *, vault: str | None = None) -> Item:
        """Move an item to the trash."""
        return self.trash_many([ref], vault=vault)[0]

    def trash_many(self, refs: Sequence[str], *, vault: str | None = None) -> list[Item]:
        """Move items to the trash: all of them in one write, or none where one is not found.

        In several writes only what lies in several vaults, or is more than fits one.
        """
        return self._opened().move(Op.TRASH, refs, vault)

    def restore(self, ref: str, *, vault: str | None = None) -> Item:
        """Bring an item back from the trash."""
        return self.restore_many([ref], vault=vault)[0]

    def restore_many(self, refs: Sequence[str], *, vault: str | None = None) -> list[Item]:
        """Bring items back from the trash, as :meth:`trash_many` moves them there."""
        return self._opened().move(Op.RESTORE, refs, vault)

    def remove(self, ref: str, *, vault: str | None = None) -> None:
        """Remove an item for good, with its versions."""
        self.remove_many([ref], vault=vault)

    def remove_many(self, refs: Sequence[str], *, vault: str | None = None) -> None:
        """Remove items for good, as :meth:`trash_many` moves them to the trash."""
        self._opened().move(Op.REMOVE, refs, vault)
