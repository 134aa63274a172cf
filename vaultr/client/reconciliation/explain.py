"""List how the server's vaults differ from this device's copies, without changing anything."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.crypto.keys import open_wraps
from vaultr.client.errors import AnswerInvalid, IntegrityError, SealBroken
from vaultr.client.log import differences
from vaultr.client.log.pages import Shown
from vaultr.client.reconciliation.snapshot import Snapshot, digest, snapshot
from vaultr.client.storage.cache import CachedVault
from vaultr.client.storage.profile import accept_profile
from vaultr.client.strict_json import Fields
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import ask_list
from vaultr.client.vaults.vaults import Vaults
from vaultr.client.vaults.write_intents import PARTS, open_row


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of an item, or (without an item id) of a vault.

    :ivar vault_id: None if the profile differs.
    :ivar title: the item's title, if this device has the item.
    :ivar continues: whether the server's state continues this device's, so that a sync accepts it.
    """

    vault_id: UUID | None
    item_id: UUID | None
    how: str
    continues: bool = False
    title: str = field(default="", repr=False)


class Explainer:
    """Lists the differences for one unlocked account."""

    def __init__(self, account: UnlockedAccount, vaults: Vaults) -> None:
        self._account = account
        self._vaults = vaults
        self._before: Snapshot | None = None

    def explain(self) -> list[Difference]:
        """List the differences, and store a snapshot that can be accepted afterwards."""
        store = self._account.store
        with store.folder.locked():
            profile = self._account.shown_profile()
            listed = list(ask_list(self._account.session))
            found, sets = [], dict[UUID, str]()
            try:
                accept_profile(self._account.profile, profile)
            except IntegrityError as error:
                found.append(Difference(None, None, str(error)))
            ids = {Fields(each, "vault", AnswerInvalid).uuid("id") for each in listed}
            for vault_id in sorted(self._known() | ids):
                found += self._of_vault(vault_id, sets, is_listed=vault_id in ids)
            stored = store.seen()
            self._before = None if stored is None else Snapshot.from_json(stored)
            store.keep_seen(snapshot(profile, listed, sets).to_json())
        return found

    def was_listed(self) -> bool:
        """Check whether the last two lists show the same state."""
        stored = self._account.store.seen()
        return stored is not None and self._before == Snapshot.from_json(stored)

    def _known(self) -> set[UUID]:
        known = self._account.profile.vaults.keys() | {v.id for v in self._vaults.reader.vaults()}
        return known - {*self._account.deleted()}

    def _of_vault(
        self, vault_id: UUID, sets: dict[UUID, str], *, is_listed: bool
    ) -> Iterator[Difference]:
        """Yield how one vault differs, and add the digest of its set to ``sets``."""
        if vault_id in self._account.deleted():
            if is_listed:
                yield Difference(vault_id, None, "you deleted it, but the server still lists it")
            return
        if not is_listed:
            yield Difference(vault_id, None, "missing from the server's list")
            return
        held = next((v for v in self._vaults.reader.vaults() if v.id == vault_id), None)
        wrong = self._what_is_wrong(vault_id)
        if held is None and wrong is None:
            yield Difference(vault_id, None, "only the server has it", continues=True)
            return
        shown = self._vaults.syncer.show_all(vault_id)
        sets[vault_id] = digest(shown)
        found = [] if held is None else differences.explain(held.state, shown)
        if wrong is None and found and held is not None and shown.waypoint == held.waypoint:
            wrong = f"the server has other items under the same {held.waypoint}"
        if wrong is not None:
            found += self._not_opening(held, shown)
        for each in found:
            title = self._title(held, each.item_id) if held is not None else ""
            yield Difference(vault_id, each.item_id, each.how, wrong is None, title)
        if wrong is not None:
            yield Difference(vault_id, None, wrong)

    def _not_opening(
        self, held: CachedVault | None, shown: Shown
    ) -> Iterator[differences.VaultDifference]:
        """Yield the items whose content on the server differs and cannot be opened."""
        account, ours = self._account, {} if held is None else held.state.items
        try:
            keys = open_wraps(account.wrap_key, account.account_id, shown.vault_id, shown.wraps)
        except IntegrityError:  # the vault's own difference already says so
            return
        rows = {each: row for each, row in shown.rows.items() if ours.get(each) != row.held}
        for item_id, row in rows.items():
            try:
                for part in PARTS:
                    open_row(keys, shown.vault_id, item_id, row, part)
            except IntegrityError:
                how = "the server's content cannot be opened with your keys"
                yield differences.VaultDifference(item_id, how)

    def _title(self, vault: CachedVault, item_id: UUID | None) -> str:
        if item_id is None or item_id not in vault.state.items:
            return ""
        try:
            return self._vaults.reader.item(vault, item_id).title
        except SealBroken:
            return ""

    def _what_is_wrong(self, vault_id: UUID) -> str | None:
        try:
            self._vaults.syncer.prove(vault_id, self._account.profile.head_of(vault_id))
        except IntegrityError as error:
            return str(error)
        return None
