"""What the owner does with vaults as a whole; see :class:`vaultr.client.vaultr_client.Vaultr`."""

from collections.abc import Callable

from vaultr.client.items.history import Version
from vaultr.client.reconciliation.accept import Accepted
from vaultr.client.reconciliation.explain import Difference
from vaultr.client.sdk.account_operations import AccountMethods
from vaultr.client.vaults.key_rotation import Rotated
from vaultr.client.vaults.reader import Item, VaultInfo
from vaultr.client.vaults.vaults import SyncReport


class VaultMethods(AccountMethods):
    """The account's vaults in their owner's hands."""

    def vaults(self, *, offline: bool = False) -> list[VaultInfo]:
        """List the vaults; ``offline`` from the cache alone."""
        return self._opened().infos(offline=offline)

    def create_vault(self, name: str) -> VaultInfo:
        """Make a vault with keys of its own."""
        return self._opened().create_vault(name)

    def rename_vault(self, vault: str, name: str) -> VaultInfo:
        """Give a vault, named by id or name, another name."""
        return self._opened().rename_vault(vault, name)

    def sync(self) -> list[SyncReport]:
        """Fetch what is new in all vaults, verify it, and note the heads in the profile."""
        unlocked = self._opened()
        reports = unlocked.sync()
        self._settle(now=False)
        return reports

    def explain(self) -> list[Difference]:
        """List how what the server shows differs from what is held; nothing is taken over."""
        return self._opened().vaults.explain()

    def history(self, ref: str, *, vault: str | None = None) -> list[Version]:
        """List the contents that an item had, newest first; the current one is the first.

        The server keeps the last 50 of each item.
        """
        return self._opened().vaults.history(ref, vault)

    def version(self, ref: str, revision: int, *, vault: str | None = None) -> Version:
        """Open one content that an item had, with its detail.

        :raises NoSuchVersion: none is kept of this revision.
        """
        return self._opened().vaults.version(ref, revision, vault)

    def bring_back(self, ref: str, revision: int, *, vault: str | None = None) -> Item:
        """Make a version of an item its content again, by a new write; also out of the trash.

        :raises NoSuchVersion: none is kept of this revision.
        """
        return self._opened().vaults.bring_back(ref, revision, vault)

    def delete_vault(self, vault: str, *, confirm: str) -> VaultInfo:
        """Delete a vault with all that is in it, on the server and on every device.

        :param confirm: the vault's name, so that none is deleted by a slip.
        :raises StepUpRequired: call :meth:`step_up` first; no device opens the vault any more,
            and the same call with its id goes on.
        """
        return self._opened().vaults.delete(vault, confirm)

    def move(self, *items: str, to: str, vault: str | None = None) -> list[Item]:
        """Move items, named by ids or titles, to another vault; they get new ids there.

        In their own vault they go to the trash, with their versions. Each is in the other vault
        before: a kill leaves it in both at worst, and the same call then goes on.
        """
        return self._opened().vaults.move(items, to, vault=vault, keep=False)

    def copy(self, *items: str, to: str, vault: str | None = None) -> list[Item]:
        """Write items, named by ids or titles, into another vault, too."""
        return self._opened().vaults.move(items, to, vault=vault, keep=True)

    def resume_move(self) -> list[Item]:
        """Go on with a move that was interrupted on this device."""
        return self._opened().vaults.resume_move()

    def accept(self) -> list[Accepted]:
        """Take over, by hand, what the server shows though it does not continue what is held.

        For a server that was restored from an older backup. What this device holds newer, or the
        server lost, is written again. The differences must have been listed by :meth:`explain`
        just before.

        :raises NotShown: the server shows something else than what was listed.
        :raises StepUpRequired: call :meth:`step_up` first; nothing was changed here.
        """
        accepted = self._opened().vaults.accept()
        self._settle(now=True)
        return accepted

    def accept_on(self) -> list[Accepted] | None:
        """Go on with an acceptance that was interrupted on this device; None where none was.

        None also where the server shows something else by now: then list and accept that.
        """
        accepted = self._opened().vaults.accept_on()
        self._settle(now=True)
        return accepted

    def was_listed(self) -> bool:
        """Tell whether what :meth:`explain` listed last had been listed before that already."""
        return self._opened().vaults.was_listed()

    def rotate(
        self,
        vault: str | None = None,
        *,
        anew: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Rotated]:
        """Give one vault, or all of them, new keys; a rotation that is running is gone on with.

        Killed at any point, it goes on when it is called again, on any device.

        :param anew: begin newer keys also while a rotation is running.
        :param progress: told how many items were moved, and of how many.
        :raises StepUpRequired: call :meth:`step_up` first; nothing was changed.
        """
        return self._opened().vaults.rotate(vault, anew=anew, progress=progress)
