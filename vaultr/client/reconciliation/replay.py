"""Write set-aside items again, after the server state that the owner accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar
from uuid import UUID

from vaultr.client.crypto.keys import open_wraps
from vaultr.client.errors import StateMismatch
from vaultr.client.log.entries import SignedEntry
from vaultr.client.reconciliation.common_history import (
    CommonHistory,
    first_entry,
    read_common_history,
)
from vaultr.client.reconciliation.replay_plan import Comparison, Replayed
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.reader import overview_of
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vault_writes import VaultWriter
from vaultr.client.vaults.vaults import Vaults
from vaultr.client.vaults.write_intents import EditConflict, OpenVault, PlannedChange
from vaultr.client.vaults.writer import Writer

_BATCH_CHANGES: Final = 500
_BATCH_BYTES: Final = 8 * 1024 * 1024
_ROUNDS: Final = 10
T = TypeVar("T")


class Replayer:
    """Writes set-aside items again for one unlocked account."""

    def __init__(
        self, account: UnlockedAccount, vaults: Vaults, writer: Writer, vault_writer: VaultWriter
    ) -> None:
        self._account = account
        self._aside = account.store.aside
        self._vaults = vaults
        self._writer = writer
        self._vault_writer = vault_writer

    def write(self, vault_id: UUID) -> list[Replayed]:
        """Write again what the server lacks of one vault, and delete the set-aside copies.

        :raises IntegrityError: the server does not show the accepted state.
        """
        done: list[Replayed] = []
        named = False
        for left in range(_ROUNDS - 1, -1, -1):
            ours = self._ours(vault_id)
            if ours is None:
                break
            comparison = self._compared(vault_id, ours)
            if not named and comparison.renamed():
                self._vault_writer.name_as(vault_id, overview_of(ours.vault, ours.keys))
            named = True
            try:
                for batch in _batches([*comparison.again()]):
                    self._write_batch(vault_id, batch)
                    done += batch
                break
            except EditConflict:  # another device has written: compare again
                if not left:
                    raise
        return done

    def _write_batch(self, vault_id: UUID, batch: Sequence[Replayed]) -> None:
        planned: list[PlannedChange] = [change for each in batch for change in each.planned]
        self._writer.write(vault_id, planned)
        vault = self._aside.load(vault_id)
        if vault is not None:  # so that a resumed run does not write them twice
            self._aside.save(_without(vault, {each.item_id for each in batch}), {})

    def _ours(self, vault_id: UUID) -> OpenVault | None:
        vault = self._aside.load(vault_id)
        if vault is None:
            return None
        account = self._account
        keys = open_wraps(account.wrap_key, account.account_id, vault_id, vault.wraps)
        return OpenVault(vault, keys, lambda item_id: self._aside.detail(vault, item_id))

    def _compared(self, vault_id: UUID, ours: OpenVault) -> Comparison:
        shown = self._vaults.syncer.show_all(vault_id)
        vault = self._vaults.sync_one(vault_id)
        if shown.waypoint != vault.waypoint:
            shown = self._vaults.syncer.show_all(vault_id)
        if shown.waypoint != vault.waypoint:
            raise StateMismatch(
                f"The server contradicts itself about vault {vault_id}: this device received "
                f"{vault.waypoint}, now it shows {shown.waypoint}.",
                vault_id=vault_id,
            )
        theirs = self._vaults.reader.open_vault(vault)
        history = self._history(ours, theirs, shown.head_entry)
        return Comparison(ours, theirs, history, frozenset(shown.removed))

    def _history(
        self, ours: OpenVault, theirs: OpenVault, last: SignedEntry | None
    ) -> CommonHistory:
        vault_id = theirs.vault.id
        return read_common_history(
            ours.vault,
            last,
            theirs.keys,
            since=lambda n: self._vaults.syncer.show_since(vault_id, n),
            first=lambda item_id: first_entry(self._account.session, vault_id, item_id),
        )


def _without(vault: CachedVault, gone: set[UUID]) -> CachedVault:
    items = _but(vault.state.items, gone)
    return replace(vault, state=replace(vault.state, items=items), rows=_but(vault.rows, gone))


def _but(values: Mapping[UUID, T], gone: set[UUID]) -> dict[UUID, T]:
    return {item_id: value for item_id, value in values.items() if item_id not in gone}


def _batches(again: Sequence[Replayed]) -> list[list[Replayed]]:
    """Split into batches that fit in one request; keep the changes of one item together."""
    batches: list[list[Replayed]] = []
    changes = size = 0
    for each in again:
        # An item that is restored may need one more change than planned.
        more = len(each.planned) + 1
        if not batches or changes + more > _BATCH_CHANGES or size + each.size > _BATCH_BYTES:
            batches.append([])
            changes = size = 0
        batches[-1].append(each)
        changes, size = changes + more, size + each.size
    return batches
