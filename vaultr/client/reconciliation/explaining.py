"""Lists how what the server shows differs from what this device holds; it changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.errors import AnswerInvalid, IntegrityError, SealBroken
from vaultr.client.log import differences
from vaultr.client.reconciliation.snapshot import Seen, look
from vaultr.client.storage.cache import CachedVault
from vaultr.client.storage.profile import accept_profile
from vaultr.client.strict_json import Fields
from vaultr.client.vaults.listing import ask_list
from vaultr.client.vaults.open_account import OpenedAccount
from vaultr.client.vaults.reading import ANY_STATE
from vaultr.client.vaults.vaults import Vaults


@dataclass(frozen=True, slots=True)
class Difference:
    """How one item, or (without an item id) one vault, differs on the server from here.

    :ivar vault_id: None where the profile is what differs.
    :ivar title: the item's title, where this device holds it.
    :ivar continues: what the server has continues what is held, and a sync would take it over.
    """

    vault_id: UUID | None
    item_id: UUID | None
    how: str
    continues: bool = False
    title: str = field(default="", repr=False)


class Explainer:
    """Explains for one unlocked account."""

    def __init__(self, account: OpenedAccount, vaults: Vaults) -> None:
        self._account = account
        self._vaults = vaults

    def explain(self) -> list[Difference]:
        """List the differences, and note what the server showed: that may be accepted then."""
        store = self._account.store
        with store.folder.locked():
            profile = self._account.shown_profile()
            listed = list(ask_list(self._account.session))
            found = []
            try:
                accept_profile(self._account.profile, profile)
            except IntegrityError as error:
                found.append(Difference(None, None, str(error)))
            ids = {Fields(each, "vault", AnswerInvalid).uuid("id") for each in listed}
            for vault_id in sorted(self._known() | ids):
                found += self._of_vault(vault_id, is_listed=vault_id in ids)
            store.keep_seen(look(profile, listed).to_json())
        return found

    def was_listed(self) -> bool:
        """Tell whether the differences were listed from what the server shows now."""
        kept = self._account.store.seen()
        if kept is None:
            return False
        listed = ask_list(self._account.session)
        return Seen.from_json(kept) == look(self._account.shown_profile(), listed)

    def _known(self) -> set[UUID]:
        known = self._account.profile.vaults.keys() | {v.id for v in self._vaults.reader.vaults()}
        return known - {*self._account.deleted()}

    def _of_vault(self, vault_id: UUID, *, is_listed: bool) -> Iterator[Difference]:
        if vault_id in self._account.deleted():
            if is_listed:
                yield Difference(vault_id, None, "was deleted, and the server lists it")
            return
        if not is_listed:
            yield Difference(vault_id, None, "missing from the server's list")
            return
        held = next((v for v in self._vaults.reader.vaults() if v.id == vault_id), None)
        wrong = self._what_is_wrong(vault_id)
        if held is None:
            how = "not held, the server has it" if wrong is None else wrong
            yield Difference(vault_id, None, how, continues=wrong is None)
            return
        shown = self._vaults.syncer.show_all(vault_id)
        for each in differences.explain(held.state, shown):
            title = self._title(held, each.item_id)
            yield Difference(vault_id, each.item_id, each.how, wrong is None, title)
        if wrong is not None:
            yield Difference(vault_id, None, wrong)

    def _title(self, vault: CachedVault, item_id: UUID | None) -> str:
        if item_id is None or item_id not in vault.state.items:
            return ""
        try:
            return self._vaults.reader.find(item_id, [vault], ANY_STATE)[1].title
        except SealBroken:
            return ""

    def _what_is_wrong(self, vault_id: UUID) -> str | None:
        try:
            self._vaults.syncer.prove(vault_id, self._account.profile.head_of(vault_id))
        except IntegrityError as error:
            return str(error)
        return None
