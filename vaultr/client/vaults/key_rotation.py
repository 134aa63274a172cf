"""Rotate a vault's keys: begin a generation, move all items to it, and end the rotation.

The state of a rotation is on the server and in the profile, so any of the owner's devices can
resume it after a crash. Only the wrap of the next generation is stored here before it is sent, so
that a retry sends the same wrap.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from vaultr.client.errors import (
    AnswerInvalid,
    Conflict,
    GenerationMoved,
    RotationIncomplete,
    SealBroken,
    VaultrError,
)
from vaultr.client.storage.cache import CachedVault
from vaultr.client.transport.responses import fields_of
from vaultr.client.vaults.batches import Batches
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_writes import VaultWriter
from vaultr.client.vaults.vaults import Vaults
from vaultr.client.vaults.write_intents import Reseal
from vaultr.client.vaults.writer import Writer

Progress = Callable[[int, int], None]
_ROUNDS: Final = 20


class CannotMove(VaultrError):
    """Some items cannot be opened, so they cannot be sealed under the new keys."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """A vault whose keys were rotated.

    :ivar moved: number of items that this device sealed under the new keys.
    :ivar resumed: whether this resumed a rotation that was already running.
    """

    vault_id: UUID
    name: str
    generation: int
    moved: int
    resumed: bool


class Rotator:
    """Rotates the vaults of one unlocked account."""

    def __init__(
        self, account: UnlockedAccount, vaults: Vaults, writer: Writer, vault_writer: VaultWriter
    ) -> None:
        self._account = account
        self._store = account.store
        self._vaults = vaults
        self._writer = writer
        self._vault_writer = vault_writer

    def rotate(self, vault_id: UUID, *, restart: bool, progress: Progress | None) -> Rotated:
        """Rotate one vault, or resume an unfinished rotation.

        :param restart: begin another generation even if a rotation is running.
        :raises StepUpRequired: beginning a generation needs the password again; nothing was
            changed.
        :raises CannotMove: some items do not open; all others were moved.
        """
        vault = self._settled(self._vaults.sync_one(vault_id))
        due = self._account.profile.keys_due(vault_id, vault.state.generation)
        resumed = not (restart or due) and self._is_running(vault)
        if not resumed:
            vault = self._begun(vault)
        moved = self._moved_and_ended(vault, progress)
        vault = self._vaults.sync_one(vault_id)
        name = self._vaults.reader.vault_name(vault)
        return Rotated(vault_id, name, vault.state.generation, moved, resumed)

    def is_pending(self, vault: CachedVault) -> bool:
        """Check whether a vault's keys must be replaced, or are being replaced."""
        due = self._account.profile.keys_due(vault.id, vault.state.generation)
        return due or self._is_running(vault)

    def end(self, vault_id: UUID) -> None:
        """End a rotation that has moved everything, if the server says that it is still running."""
        vault = self._vaults.reader.vault(vault_id)
        if self._says_running(vault):
            self._moved_and_ended(vault, None)

    def _is_running(self, vault: CachedVault) -> bool:
        # Decide only by verified data: a server that claims "running" could delay new keys forever.
        return bool(left_of(vault)) or not _is_name_resealed(vault)

    def _says_running(self, vault: CachedVault) -> bool:
        answer = self._account.session.send("GET", f"/vaults/{vault.id}/rotation")
        return fields_of(answer, "rotation").flag("rotating")

    def _settled(self, vault: CachedVault) -> CachedVault:
        """Delete the stored wrap once the vault has reached its generation."""
        self._writer.generations.forget_reached(vault)
        return vault

    def _begun(self, before: CachedVault) -> CachedVault:
        def attempt(vault: CachedVault) -> CachedVault:
            if vault.state.generation > before.state.generation:
                return self._settled(vault)  # another device came first, or a response was lost
            return self._writer.begin_generation(vault)

        return self._settled(self._writer.with_retries(before.id, attempt))

    def _moved_and_ended(self, vault: CachedVault, progress: Progress | None) -> int:
        moved = _Moved(self._vaults, self._writer, progress)
        for _ in range(_ROUNDS):
            moved.all_of(vault.id)
            self._vault_writer.reseal_name(vault.id)
            vault = self._vaults.sync_one(vault.id)
            if moved.broken:
                raise CannotMove(_broken_text(moved.broken))
            try:
                if not self._says_running(vault):
                    return moved.count
                self._writer.with_retries(vault.id, self._ended)
            except (RotationIncomplete, GenerationMoved):
                vault = self._vaults.sync_one(vault.id)
                if not left_of(vault) and _is_name_resealed(vault):
                    raise
            except Conflict:
                if self._says_running(vault):
                    raise
        return moved.count

    def _ended(self, vault: CachedVault) -> CachedVault:
        """End the rotation, unless another device began a new one meanwhile."""
        if left_of(vault) or not _is_name_resealed(vault):
            raise RotationIncomplete(
                "rotation-incomplete", 409, "Another rotation began meanwhile."
            )
        return self._vault_writer.end_rotation(vault)


class _Moved:
    """Moves the items of a vault, and counts them."""

    def __init__(self, vaults: Vaults, writer: Writer, progress: Progress | None) -> None:
        self._vaults = vaults
        self._batches = Batches(writer)
        self._progress = progress
        self.count = 0
        self.broken: set[UUID] = set()

    def all_of(self, vault_id: UUID) -> None:
        """Seal all active items under the newest keys, batch after batch."""
        while left := self._left(vault_id):
            vault = self._vaults.reader.vault(vault_id)
            sizes = [_size(vault, item_id) for item_id in left]
            try:
                done = self._batches.write(vault_id, [Reseal(each) for each in left], sizes)
            except SealBroken:
                self.broken |= set(self._not_opening(vault_id, left))
                continue
            self.count += done
            if self._progress is not None:
                still = len(self._left(vault_id))
                self._progress(self.count, self.count + still)

    def _left(self, vault_id: UUID) -> list[UUID]:
        left = left_of(self._vaults.reader.vault(vault_id))
        return [item_id for item_id in left if item_id not in self.broken]

    def _not_opening(self, vault_id: UUID, items: Sequence[UUID]) -> Iterable[UUID]:
        reader = self._vaults.reader
        vault = reader.vault(vault_id)
        found = []
        for item_id in items:
            try:
                reader.open_vault(vault).opened(item_id)
            except SealBroken:
                found.append(item_id)
        if not found:
            raise AnswerInvalid(
                "Some items could not be opened before, but now they can.", vault_id=vault_id
            )
        return found


def left_of(vault: CachedVault) -> list[UUID]:
    """Return the active items that are sealed under older keys than the vault's newest."""
    state = vault.state
    return [
        item_id
        for item_id, held in state.items.items()
        if held.state == "active" and held.generation < state.generation
    ]


def _is_name_resealed(vault: CachedVault) -> bool:
    return vault.state.overview.generation == vault.state.generation


def _size(vault: CachedVault, item_id: UUID) -> int:
    row = vault.rows[item_id]
    return len(row.overview) * 3 // 4 + row.length


def _broken_text(broken: Iterable[UUID]) -> str:
    named = ", ".join(sorted(map(str, broken)))
    return (
        f"These items cannot be opened, so they stay under the old keys: {named}. All other items "
        "were moved. Another client may have written them. Move each to the trash with "
        "`vaultr rm ID` (the trash keeps the old keys), then run `vaultr rotate` again."
    )
