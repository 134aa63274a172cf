"""Writes to a vault as a whole: rename, key rotation, repair."""

from dataclasses import replace
from uuid import UUID

from vaultr.client.crypto import aad
from vaultr.client.crypto.keys import Keys, vk_of
from vaultr.client.crypto.seal import seal
from vaultr.client.log.append import Batch, Change, prepare
from vaultr.client.log.receipts import check_vault
from vaultr.client.storage.cache import CachedVault
from vaultr.client.strict_json import Json
from vaultr.client.vaults.plaintext import name_bytes
from vaultr.client.vaults.reader import Reader
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.encoding import b64


class VaultWriter:
    """Writes that change no item; each is rebased after other writes."""

    def __init__(self, account: UnlockedAccount, reader: Reader, writer: Writer) -> None:
        self._account = account
        self._session = account.session
        self._reader = reader
        self._writer = writer

    def rename(self, vault_id: UUID, name: str) -> CachedVault:
        """Rename a vault.

        :raises NameUnfit: another vault has this name, or no vault can have it.
        """
        self._reader.check_name(name, of=vault_id)
        return self._writer.with_retries(
            vault_id, lambda vault: self._named(vault, name_bytes(name))
        )

    def reseal_name(self, vault_id: UUID) -> CachedVault:
        """Seal a vault's overview under its newest keys, if it is not yet sealed under them."""

        def attempt(vault: CachedVault) -> CachedVault:
            if vault.state.overview.generation == vault.state.generation:
                return vault
            return self._named(vault, self._reader.vault_overview(vault))

        return self._writer.with_retries(vault_id, attempt)

    def _named(self, vault: CachedVault, overview: bytes) -> CachedVault:
        vault = self._writer.under_fresh_keys(vault)
        keys, state = self._reader.keys(vault), vault.state
        bound = aad.vault_overview(vault.id, state.n + 1, state.generation)
        sealed = seal(vk_of(keys, state.generation, vault.id), bound, overview)
        batch = self._prepared(vault, Change.rename(sealed), keys)
        body = {"overview": b64(sealed), "generation": state.generation}
        self._send("PUT", vault, "", body, batch)
        return self._saved(replace(vault, overview=sealed), vault, batch)

    def end_rotation(self, vault: CachedVault) -> CachedVault:
        """End a rotation; call it through :meth:`Writer.with_retries`.

        :raises RotationIncomplete: the server says that items are still under older keys.
        """
        batch = self._prepared(vault, Change.rotate_end(), self._reader.keys(vault))
        self._send("POST", vault, "/rotation/finish", {}, batch)
        return self._saved(vault, vault, batch)

    def name_as(self, vault_id: UUID, overview: bytes) -> CachedVault:
        """Write a vault's overview with the same bytes again."""
        return self._writer.with_retries(vault_id, lambda vault: self._named(vault, overview))

    def repair(self, vault: CachedVault, keys: Keys) -> CachedVault:
        """Append an entry that changes nothing and commits to the set; do not cache it here."""
        batch = self._prepared(vault, Change.repair(), keys)
        self._send("POST", vault, "/repair", {}, batch)
        return replace(vault, state=batch.state)

    def _prepared(self, vault: CachedVault, change: Change, keys: Keys) -> Batch:
        return prepare(vault.state, [change], keys=keys, author_id=self._account.account_id)

    def _send(self, method: str, vault: CachedVault, ending: str, body: Json, batch: Batch) -> None:
        """Send one write, and check the vault in the response."""
        sent = body | {"entry": batch.last.entry_json()}
        answer = self._session.send(method, f"/vaults/{vault.id}{ending}", sent, again=True)
        check_vault(batch, answer.body or {})

    def _saved(self, new: CachedVault, before: CachedVault, batch: Batch) -> CachedVault:
        written = replace(new, state=self._writer.state_after(before, batch.state))
        return self._account.store.cache.save(written, {})
