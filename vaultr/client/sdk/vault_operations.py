"""Vault operations of the SDK: create, sync, move items, rotate keys, reconcile."""

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from vaultr.client.errors import IntegrityError, ItemNotFound
from vaultr.client.items.history import Version
from vaultr.client.items.move import Moved
from vaultr.client.reconciliation.accept import Accepted
from vaultr.client.reconciliation.explain import Difference
from vaultr.client.sdk.device_session import DeviceSession
from vaultr.client.sdk.unlocked_vaults import UnlockedVaults
from vaultr.client.storage import freshness
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults import trash_purge
from vaultr.client.vaults.deletion import Deleter
from vaultr.client.vaults.key_rotation import Rotated, Rotator
from vaultr.client.vaults.reader import Item, VaultInfo, by_name
from vaultr.client.vaults.vaults import SyncReport


class VaultOperations:
    """Works on whole vaults of one account, and moves items between them."""

    def __init__(self, device: DeviceSession) -> None:
        self._device = device

    def vaults(self, *, offline: bool = False) -> list[VaultInfo]:
        """List the vaults by name.

        :param offline: use this device's copy; do not contact the server.
        """
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=offline)
        return sorted(map(unlocked.reader.info, unlocked.reader.vaults()), key=by_name)

    def create_vault(self, name: str) -> VaultInfo:
        """Create a vault with new keys."""
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        return unlocked.reader.info(unlocked.vaults.create(name))

    def rename_vault(self, vault: str, name: str) -> VaultInfo:
        """Rename a vault, given by id or name."""
        unlocked = self._device.require_unlocked()
        unlocked.prepare(offline=False)
        vault_id = unlocked.reader.vault(vault).id
        return unlocked.reader.info(unlocked.vault_writer.rename(vault_id, name))

    def sync(self) -> list[SyncReport]:
        """Fetch and verify the changes of all vaults, and write their heads to the profile.

        Items that have been in the trash for 30 days are deleted.
        """
        unlocked = self._device.require_unlocked()
        reports = sync_all(unlocked)
        self._device.write_profile(now=False)
        return reports

    def download_archive(self, sink: Callable[[bytes], object]) -> None:
        """Download everything that the server stores about the account, as one sealed archive.

        It is not verified; see :mod:`vaultr.client.exports.archive`.

        :param sink: called with each chunk, in order.
        :raises StepUpRequired: call :meth:`step_up` first; nothing was downloaded.
        :raises Conflict: another export of this account is running.
        """
        self._device.require_unlocked().account.session.download("/export", sink)

    def explain(self) -> list[Difference]:
        """List how the server's state differs from this device's copy; nothing is changed."""
        return self._device.require_unlocked().explainer.explain()

    def was_listed(self) -> bool:
        """Check whether the last list of :meth:`explain` equals the one before it."""
        return self._device.require_unlocked().explainer.was_listed()

    def accept(self) -> list[Accepted]:
        """Accept the server's state although it does not continue this device's copy.

        Use it for a server that was restored from an older backup. Content that is newer on this
        device, or that the server lost, is written again. Call :meth:`explain` just before.

        :raises NotShown: the server shows another state than :meth:`explain` listed.
        :raises StepUpRequired: call :meth:`step_up` first; nothing was changed on this device.
        """
        accepted = self._device.require_unlocked().acceptor.accept()
        self._device.write_profile(now=True)
        return accepted

    def accept_on(self) -> list[Accepted] | None:
        """Continue an interrupted :meth:`accept`.

        :return: None if no acceptance was interrupted, or if the server's state has changed since;
            then call :meth:`explain` and :meth:`accept`.
        """
        accepted = self._continue_accepting(self._device.require_unlocked())
        self._device.write_profile(now=True)
        return accepted

    @staticmethod
    def _continue_accepting(unlocked: UnlockedVaults) -> list[Accepted] | None:
        if not unlocked.acceptor.begun():
            return None
        try:
            unlocked.refresh()
        except IntegrityError:
            return None
        return unlocked.acceptor.finish()

    def history(self, ref: str, *, vault: str | None = None) -> list[Version]:
        """List the versions of an item, newest first; the first one is current.

        The server keeps the last 50 of each item.
        """
        unlocked = self._refreshed()
        home, item = self._active_or_trashed(unlocked, ref, vault)
        return unlocked.history.versions(home, item.id)

    def version(self, ref: str, revision: int, *, vault: str | None = None) -> Version:
        """Open one version of an item, with its detail.

        :raises NoSuchVersion: the server does not keep this revision.
        """
        unlocked = self._refreshed()
        home, item = self._active_or_trashed(unlocked, ref, vault)
        return unlocked.history.version(home, item.id, revision)

    @staticmethod
    def _active_or_trashed(
        unlocked: UnlockedVaults, ref: str, vault: str | None
    ) -> tuple[CachedVault, Item]:
        return unlocked.finder.find(ref, unlocked.chosen(vault), ("active",), else_in=("trash",))

    def delete_vault(self, vault: str, *, confirm: str) -> VaultInfo:
        """Delete a vault with all its items, on the server and on every device.

        :param confirm: the vault's name, to prevent mistakes.
        :raises StepUpRequired: call :meth:`step_up` first. No device opens the vault from now on;
            the same call with the vault's id continues.
        """
        unlocked = self._refreshed()
        return Deleter(unlocked.account, unlocked.vaults).delete(vault, confirm)

    def move(self, *items: str, to: str, vault: str | None = None) -> list[Item]:
        """Move items, given by ids or titles, to another vault, where they get new ids.

        The originals go to the trash, with their versions. Each item is written to the other vault
        first. If the move is interrupted, items may be in both vaults, and the same call continues.
        """
        return self._to_vault(items, to, vault, keep=False)

    def copy(self, *items: str, to: str, vault: str | None = None) -> list[Item]:
        """Copy items, given by ids or titles, to another vault."""
        return self._to_vault(items, to, vault, keep=True)

    def _to_vault(
        self, refs: Sequence[str], to: str, vault: str | None, *, keep: bool
    ) -> list[Item]:
        unlocked = self._refreshed()
        target = unlocked.reader.vault(to)
        # A title does not refer to an item that is already in the target.
        sources = [each for each in unlocked.chosen(vault) if each.id != target.id]
        by_source: dict[UUID, dict[UUID, None]] = {}
        for home, item in unlocked.finder.find_all(refs, sources, ("active",)):
            if item.state != "active":
                raise ItemNotFound(
                    "item-not-found", 404, "The item is in the trash: restore it first."
                )
            by_source.setdefault(home.id, {})[item.id] = None
        act = unlocked.mover.copy if keep else unlocked.mover.move
        moved = [act(source, list(ids), target.id) for source, ids in by_source.items()]
        return self._items(unlocked, (one for each in moved for one in each))

    def resume_move(self) -> list[Item]:
        """Continue the interrupted move of this device."""
        unlocked = self._refreshed()
        return self._items(unlocked, unlocked.mover.resume())

    @staticmethod
    def _items(unlocked: UnlockedVaults, moved: Iterable[Moved]) -> list[Item]:
        reader = unlocked.reader
        return [reader.item(reader.vault(each.vault_id), each.item_id) for each in moved]

    def rotate(
        self,
        vault: str | None = None,
        *,
        restart: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Rotated]:
        """Replace the keys of one vault, or of all; continue a running rotation.

        If some vaults are due for a rotation, only those are rotated. An interrupted rotation is
        continued by the next call, on any device.

        :param restart: begin another generation even if a rotation is running.
        :param progress: called with the numbers of resealed items and of all items.
        :raises StepUpRequired: call :meth:`step_up` first; nothing was changed.
        """
        unlocked = self._refreshed()
        rotator = Rotator(unlocked.account, unlocked.vaults, unlocked.writer, unlocked.vault_writer)
        if vault is not None:
            vault_id = unlocked.reader.vault(vault).id
            return [rotator.rotate(vault_id, restart=restart, progress=progress)]
        chosen = {each.id: each for each in unlocked.reader.vaults()}
        pending = [each for each, one in chosen.items() if rotator.is_pending(one)]
        if restart or not pending:
            # All devices read this, so that any of them can continue after an interruption.
            unlocked.vaults.note_keys_due(
                {each: one.state.generation for each, one in chosen.items()}
            )
            pending = list(chosen)
        rotated = [rotator.rotate(each, restart=False, progress=progress) for each in pending]
        for each in chosen.keys() - pending:
            rotator.end(each)
        return rotated

    def _refreshed(self) -> UnlockedVaults:
        unlocked = self._device.require_unlocked()
        unlocked.refresh()
        return unlocked


def sync_all(unlocked: UnlockedVaults) -> list[SyncReport]:
    """Bring all vaults up to date, and delete items that have been in the trash for 30 days."""
    unlocked.note_first_seen()
    reports = unlocked.vaults.sync_all()
    unlocked.notify(unlocked.unfinished_work())
    purged = [_purge_trash(unlocked, vault) for vault in unlocked.reader.vaults()]
    if any(purged):
        reports = unlocked.vaults.sync_all()
    freshness.note(unlocked.account.store.folder)
    return reports


def _purge_trash(unlocked: UnlockedVaults, vault: CachedVault) -> bool:
    return trash_purge.remove_old(
        vault,
        unlocked.writer,
        server_time=unlocked.account.session.server_time(),
        notify=lambda notice: unlocked.notify([notice]),
    )
