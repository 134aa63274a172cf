"""Lists how what the server shows differs from what this device holds; it changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from vaultr.client.errors import AnswerInvalid, IntegrityError, SealBroken
from vaultr.client.log import differences
from vaultr.client.reconciliation.snapshot import Seen, digest, look
from vaultr.client.storage.cache import CachedVault
from vaultr.client.storage.profile import accept_profile
from vaultr.client.strict_json import Fields
from vaultr.client.vaults.unlocked_account import OpenedAccount
from vaultr.client.vaults.vault_list import ask_list
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
        self._before: Seen | None = None

    def explain(self) -> list[Difference]:
        """List the differences, and note what the server showed: that may be accepted then."""
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
            kept = store.seen()
            self._before = None if kept is None else Seen.from_json(kept)
            store.keep_seen(look(profile, listed, sets).to_json())
        return found

    def was_listed(self) -> bool:
        """Tell whether what the last list was made of had been listed before that already."""
        kept = self._account.store.seen()
        return kept is not None and self._before == Seen.from_json(kept)

    def _known(self) -> set[UUID]:
        known = self._account.profile.vaults.keys() | {v.id for v in self._vaults.reader.vaults()}
        return known - {*self._account.deleted()}

    def _of_vault(
        self, vault_id: UUID, sets: dict[UUID, str], *, is_listed: bool
    ) -> Iterator[Difference]:
        """List how one vault differs, and note its set."""
        if vault_id in self._account.deleted():
            if is_listed:
                yield Difference(vault_id, None, "was deleted, and the server lists it")
            return
        if not is_listed:
            yield Difference(vault_id, None, "missing from the server's list")
            return
        held = next((v for v in self._vaults.reader.vaults() if v.id == vault_id), None)
        wrong = self._what_is_wrong(vault_id)
        if held is None and wrong is None:
            yield Difference(vault_id, None, "not held, the server has it", continues=True)
            return
        shown = self._vaults.syncer.show_all(vault_id)
        sets[vault_id] = digest(shown)
        found = [] if held is None else differences.explain(held.state, shown)
        if wrong is None and found and held is not None and shown.waypoint == held.waypoint:
            wrong = f"another set than is held, under the same head: {held.waypoint}"
        for each in found:
            title = self._title(held, each.item_id) if held is not None else ""
            yield Difference(vault_id, each.item_id, each.how, wrong is None, title)
        if wrong is not None:
            yield Difference(vault_id, None, wrong)

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
