"""What the owner does with vaults as a whole; see :class:`vaultr.client.api.Vaultr`."""

from collections.abc import Callable

from vaultr.client.owner import Owner
from vaultr.client.reading import VaultInfo
from vaultr.client.rotating import Rotated
from vaultr.client.vaults import Difference, SyncReport


class Keeper(Owner):
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
        desk = self._opened()
        reports = desk.sync()
        self._settle(now=False)
        return reports

    def explain(self) -> list[Difference]:
        """List how what the server shows differs from what is held; nothing is taken over."""
        return self._opened().explain()

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
        return self._opened().keeping.rotate(vault, anew=anew, progress=progress)
