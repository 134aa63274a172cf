"""Deletes vaults: first for all of the owner's devices, in the profile, then on the server."""

import contextlib
from uuid import UUID

from vaultr.client.errors import NotFound, UsageError
from vaultr.client.vaults.reader import VaultInfo
from vaultr.client.vaults.unlocked_account import OpenedAccount
from vaultr.client.vaults.vaults import Vaults


class Deleter:
    """Deletes vaults of one unlocked account."""

    def __init__(self, account: OpenedAccount, vaults: Vaults) -> None:
        self._account = account
        self._vaults = vaults

    def delete(self, ref: str, confirm: str) -> VaultInfo:
        """Delete a vault with all that is in it; its copy here goes once the server did it.

        :param confirm: the vault's name, to the letter.
        :raises UsageError: ``confirm`` is another name; nothing was changed.
        :raises StepUpRequired: the password must be proved again first. No device opens the vault
            any more, and the same call with its id goes on.
        """
        reader = self._vaults.reader
        again = self._deleted_already(ref)
        if again is not None:
            self._send(again)
            return VaultInfo(again, "", 0, "", 0, 0)
        vault = reader.vault(ref)
        info = reader.info(vault)
        if confirm != info.name:
            raise UsageError("That is not the name of the vault: nothing was deleted.")
        with self._account.store.folder.locked():
            self._vaults.note_deleted(vault.id)
            self._send(vault.id)
        return info

    def _deleted_already(self, ref: str) -> UUID | None:
        return next((each for each in self._account.deleted() if str(each) == ref), None)

    def _send(self, vault_id: UUID) -> None:
        # Gone already: an earlier answer was lost, or another device did it.
        with contextlib.suppress(NotFound):
            self._account.session.send("DELETE", f"/vaults/{vault_id}", again=True)
        self._account.store.cache.forget(vault_id)
