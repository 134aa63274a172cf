"""Delete vaults: first in the profile, for all of the owner's devices, then on the server."""

import contextlib
from uuid import UUID

from vaultr.client.errors import NotFound, UsageError
from vaultr.client.vaults.reader import VaultInfo
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vaults import Vaults


class Deleter:
    """Deletes vaults of one unlocked account."""

    def __init__(self, account: UnlockedAccount, vaults: Vaults) -> None:
        self._account = account
        self._vaults = vaults

    def delete(self, ref: str, confirm: str) -> VaultInfo:
        """Delete a vault and its items; the local copy is deleted after the server's.

        :param confirm: the vault's exact name.
        :raises UsageError: ``confirm`` is a different name; nothing was changed.
        :raises StepUpRequired: the password must be proved again first. No device opens the vault
            from now on; the same call with its id continues.
        """
        reader = self._vaults.reader
        deleted = self._deleted_id(ref)
        if deleted is not None:
            self._send(deleted)
            return VaultInfo(deleted, "", 0, "", 0, 0)
        vault = reader.vault(ref)
        info = reader.info(vault)
        if confirm != info.name:
            raise UsageError("That is not the name of the vault. Nothing was deleted.")
        with self._account.store.folder.locked():
            self._vaults.note_deleted(vault.id)
            self._send(vault.id)
        return info

    def _deleted_id(self, ref: str) -> UUID | None:
        return next((each for each in self._account.deleted() if str(each) == ref), None)

    def _send(self, vault_id: UUID) -> None:
        # Already deleted: an earlier response was lost, or another device deleted it.
        with contextlib.suppress(NotFound):
            self._account.session.send("DELETE", f"/vaults/{vault_id}", again=True)
        self._account.store.cache.forget(vault_id)
