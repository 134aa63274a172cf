"""The vaults of an unlocked account: create and sync them, write their heads to the profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import VaultKeys
from vaultr.client.crypto.seal import seal
from vaultr.client.errors import (
    NotFound,
    RateLimited,
    Refused,
    SealBroken,
    SessionEnded,
    StateMismatch,
    StepUpRequired,
    Unauthenticated,
    Unavailable,
    VaultExists,
)
from vaultr.client.log import pages
from vaultr.client.log.entries import Waypoint, short_head
from vaultr.client.log.receipts import check_made
from vaultr.client.log.state import FIRST_GENERATION, new_vault, plan_sync
from vaultr.client.storage.cache import CachedVault
from vaultr.client.strict_json import Json
from vaultr.client.transport.http_transport import Answer
from vaultr.client.transport.responses import fields_of
from vaultr.client.vaults.plaintext import name_bytes
from vaultr.client.vaults.reader import Reader, by_name
from vaultr.client.vaults.sync import Syncer
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_list import VaultListing, ask_list, check_list
from vaultr.protocol.encoding import b64, unb64

FIRST_NAME: Final = "Personal"


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The result of syncing one vault; people compare ``n`` and ``head`` between devices."""

    id: UUID
    name: str
    n: int
    head: str
    received: int
    removed: int


class Vaults:
    """All vaults of one account on this device."""

    def __init__(self, account: UnlockedAccount) -> None:
        self._account = account
        self._session = account.session
        self._store = account.store
        self._cache = account.store.cache
        self.syncer = Syncer(account.session, self._cache, account.keyring)
        self.reader = Reader(self._cache, account.keyring, account.deleted)
        self.notices = account.notices

    def sync_all(self) -> list[SyncReport]:
        """Sync all vaults, and create the first one of a new account.

        :raises IntegrityError: something known is missing, older or different; the cache is
            unchanged.
        """
        with self._store.folder.locked():
            self._account.refresh_profile()
            self._forget_deleted()
            self._finish_made()
            listed = self._listed()
            if not listed.open and not self._account.profile.vaults:
                return [self._report(self.create(FIRST_NAME), 0, 0)]
            reports = [self._sync_listed(listed, vault_id) for vault_id in sorted(listed.open)]
            return sorted(reports, key=by_name)

    def _forget_deleted(self) -> None:
        # Only the owner's devices can write this to the profile; a server cannot.
        for vault_id in {*self._cache.ids()} & {*self._account.deleted()}:
            self._cache.forget(vault_id)

    def _sync_listed(self, listed: VaultListing, vault_id: UUID) -> SyncReport:
        vault, received, removed = self._sync(vault_id)
        listed.check_synced(vault.state)
        return self._report(vault, received, removed)

    def sync_one(self, vault_id: UUID) -> CachedVault:
        """Sync one vault."""
        with self._store.folder.locked():
            return self._sync(vault_id)[0]

    def _sync(self, vault_id: UUID) -> tuple[CachedVault, int, int]:
        brought = self.syncer.sync(vault_id, self._account.profile.head_of(vault_id))
        return brought.vault, brought.received, brought.removed

    def _report(self, vault: CachedVault, received: int, removed: int) -> SyncReport:
        return SyncReport(
            id=vault.id,
            name=self.reader.vault_name(vault),
            n=vault.state.n,
            head=short_head(vault.state.head),
            received=received,
            removed=removed,
        )

    def _listed(self) -> VaultListing:
        held = {vault.id: vault.state for vault in self.reader.vaults()}
        listed = check_list(self._account.profile, ask_list(self._session), held)
        for vault_id in listed.deleted:
            self._delete_again(vault_id)
        return listed

    def _delete_again(self, vault_id: UUID) -> None:
        self.notices.append(f"You deleted vault {vault_id}, but the server still lists it.")
        try:
            self._session.send("DELETE", f"/vaults/{vault_id}")
        except StepUpRequired:
            self.notices.append(
                f"Deleting it needs your password. Run: vaultr vaults rm {vault_id}"
            )
        except Refused as rejection:
            self.notices.append(f"Deleting it again failed: {rejection}")
        else:
            self.notices.append("The vault was deleted again.")

    def create(self, name: str) -> CachedVault:
        """Create a vault. Its keys are stored before they are sent: a retry sends the same."""
        with self._store.folder.locked():
            self._account.catch_up()  # it must be sealed with the account's current key
            self._finish_made()
            self.reader.check_name(name)
            body = self._new_body(uuid4(), name_bytes(name))
            self._store.keep_made_vault(body)
            return self._make(body)

    def recreate(self, vault_id: UUID, overview: bytes) -> CachedVault:
        """Create a vault again that the server has lost, with the same id and new keys.

        The caller must have set the local copy aside; the new vault overwrites it.

        :raises StateMismatch: the server has a vault with this id but did not list it.
        """
        body = self._new_body(vault_id, overview)
        self._store.keep_made_vault(body)
        return self._make(body)

    def _new_body(self, vault_id: UUID, overview: bytes) -> Json:
        keys, account = VaultKeys.new(), self._account
        bound = aad.vault_overview(vault_id, 0, FIRST_GENERATION)
        wrapped = keys.wrap(account.wrap_key, account.account_id, vault_id, FIRST_GENERATION)
        sealed = seal(keys.vk, bound, overview)
        return {"id": str(vault_id), "sealed_key": b64(wrapped), "overview": b64(sealed)}

    def _finish_made(self) -> None:
        body = self._store.made_vault()
        if body is None:
            return
        # Either the owner deleted the vault on another device, or the account key was replaced
        # since: then the server returns a newer wrap, and the stored wrap cannot be opened.
        if UUID(body["id"]) in self._account.deleted() or not self._opens(body):
            self._store.forget_made_vault()
        else:
            self._make(body)

    def _opens(self, body: Json) -> bool:
        account, sealed = self._account, unb64(body["sealed_key"])
        wrapped = (UUID(body["id"]), FIRST_GENERATION, sealed)
        try:
            VaultKeys.unwrap(account.wrap_key, account.account_id, *wrapped)
        except SealBroken:
            return False
        return True

    def _make(self, body: Json) -> CachedVault:
        """Send what :meth:`create` stored, and write the vault's head to the profile."""
        vault_id, sealed_key = UUID(body["id"]), unb64(body["sealed_key"])
        answer, is_new = self._ask_to_make(body)
        shown = fields_of(answer, "vault")
        wraps, listed = {FIRST_GENERATION: sealed_key}, pages.read_wraps(shown, vault_id)
        # An existing vault may also have newer keys: another device may have rotated it.
        ours = listed == wraps if is_new else listed.get(FIRST_GENERATION) == sealed_key
        if shown.uuid("id") != vault_id or not ours:
            if not is_new:  # a different vault, which the next sync checks; do not send ours again
                self._store.forget_made_vault()
            raise StateMismatch(
                f"The server stored vault {vault_id} with other keys than this device sent.",
                vault_id=vault_id,
            )
        made = self._cache.load(vault_id)
        if made is not None and made.wraps.get(FIRST_GENERATION) == sealed_key:
            keys = self._account.keyring.open(vault_id, wraps)
        else:  # the server lost the cached vault, and its copy was set aside
            made, keys = None, self._account.keyring.replace_keys(vault_id, wraps)
        overview = unb64(body["overview"])
        state = new_vault(vault_id, overview, keys[FIRST_GENERATION])
        if is_new:
            check_made(state, shown.raw())
        if made is None:
            self._cache.forget(vault_id)
            made = self._cache.save(CachedVault(state, wraps, overview), {})
        self._account.write_heads({vault_id: state.waypoint}, self.proven_heads)
        self._store.forget_made_vault()
        return made

    def _ask_to_make(self, body: Json) -> tuple[Answer, bool]:
        """Create a vault on the server.

        :return: the response that shows the vault, and whether this request created it.
        """
        try:
            return self._session.send("POST", "/vaults", body, again=True), True
        except VaultExists:
            # A response was lost: the existing vault is ours, and may have been written to already.
            return self._ask_made(UUID(body["id"])), False
        except (RateLimited, Unavailable, Unauthenticated, SessionEnded):
            # Undecided: an earlier attempt, whose response was lost, may have created it.
            raise
        except Refused:
            self._store.forget_made_vault()
            raise

    def _ask_made(self, vault_id: UUID) -> Answer:
        try:
            return self._session.send("GET", f"/vaults/{vault_id}")
        except NotFound:
            raise StateMismatch(
                f"The server says that vault {vault_id} exists, and then that it does not.",
                vault_id=vault_id,
            ) from None

    def note_deleted(self, vault_id: UUID) -> None:
        """Mark a vault as deleted in the profile, before the request that deletes it is sent."""
        wanted = self._account.profile.with_deleted(vault_id)
        self._account.write_profile(wanted, self.proven_heads)

    def note_keys_due(self, generations: Mapping[UUID, int]) -> None:
        """Record in the profile that the keys of these generations must be replaced."""
        with self._store.folder.locked():
            self._account.catch_up()
            heads = self.proven_heads()
            wanted = self._account.with_heads(heads).with_keys_due(generations)
            self._account.write_profile(wanted, self.proven_heads)

    def settle(self, *, now: bool) -> bool:
        """Write the profile if a head has changed: at most once a minute, unless ``now``.

        :return: whether the profile has all heads; False if the write was postponed.
        :raises IntegrityError: a head does not continue the one in the profile; the profile is
            unchanged.
        """
        with self._store.folder.locked():
            self._account.catch_up()
            is_behind = self._account.is_behind(self._heads())
            is_urgent = now or self._account.must_supersede()
            if is_behind and not is_urgent and self._account.written_just_now():
                return False
            if is_behind:
                self._account.write_heads(self.proven_heads(), self.proven_heads)
        return True

    def _heads(self) -> dict[UUID, Waypoint]:
        return {vault.id: vault.waypoint for vault in self.reader.vaults()}

    def proven_heads(self) -> dict[UUID, Waypoint]:
        """Return the heads that continue those in the profile; sync vaults where that is unknown.

        A head of another history would overwrite the only evidence of the fork.
        """
        heads = {}
        for vault in self.reader.vaults():
            known = self._account.profile.head_of(vault.id)
            if known is not None and known.n > vault.state.n:
                continue
            proven = plan_sync(vault.state, known).conditional
            heads[vault.id] = vault.waypoint if proven else self._sync(vault.id)[0].waypoint
        return heads
