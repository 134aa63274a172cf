"""Makes an accepted set that no entry vouches for into one that an entry vouches for.

A repair entry vouches for a set as it is, so it must not be appended while the set has a content or
a state that no signed entry gave: every other device would then believe the server. Such items are
written again first, as this device holds them, and the entries of that write leave them out until
then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from vaultr.client.errors import IntegrityError, SealBroken, StateMismatch
from vaultr.client.log.append import Change
from vaultr.client.log.state import Held
from vaultr.client.reconciliation.common_history import CommonHistory
from vaultr.client.vaults.write_intents import OpenVault

WHY: Final = "the server had altered it; this device's content was written again"
_CHANGES_MOST: Final = 500
_BYTES_MOST: Final = 8 * 1024 * 1024


class NotAccepted(StateMismatch):
    """A state that this client never accepts, not even by hand."""

    advice = (
        "Nothing was accepted or changed, and this device's copy can still be read with --offline. "
        "Run vaultr sync --explain on your other devices: one of them may have the missing content."
    )


@dataclass(frozen=True, slots=True)
class Unvouched:
    """One accepted set that no entry vouches for.

    :ivar shown: the server's set, with its keys.
    :ivar ours: what this device holds of the vault; None if it holds nothing.
    :ivar history: the whole log of the server, as far as the owner's keys signed it.
    """

    shown: OpenVault
    ours: OpenVault | None
    history: CommonHistory = field(repr=False)

    def altered(self) -> list[UUID]:
        """Return the items that no signed entry gave in this form, for this device to write again.

        :raises NotAccepted: this device has no newest content of one of them, or the vault's name
            is one that no signed entry gave.
        """
        self._check_name()
        held = self._held()
        altered = [
            item_id
            for item_id, shown in self.shown.state.items.items()
            if held.get(item_id) != shown
            and not (self.history.gives(item_id, shown) and self._opens(item_id))
        ]
        hopeless = [each for each in altered if not self._is_newest_here(each, held.get(each))]
        if hopeless:
            named = ", ".join(sorted(map(str, hopeless)))
            raise NotAccepted(
                "The server's content of these items was altered or cannot be opened, and this "
                f"device has no newest copy of them: {named}.",
                vault_id=self.shown.vault.id,
            )
        return altered

    def _held(self) -> Mapping[UUID, Held]:
        return {} if self.ours is None else self.ours.state.items

    def _check_name(self) -> None:
        name = self.shown.state.overview
        known = self.ours is not None and self.ours.state.overview == name
        if not known and not self.history.gives_name(name):
            raise NotAccepted(
                f"The name of vault {self.shown.vault.id} on the server is not one that your "
                "devices gave it.",
                vault_id=self.shown.vault.id,
            )

    def _opens(self, item_id: UUID) -> bool:
        try:
            self.shown.opened(item_id)
        except (SealBroken, StateMismatch):
            return False
        return True

    def _is_newest_here(self, item_id: UUID, held: Held | None) -> bool:
        """Check that no signed entry changed the item after this device's revision of it."""
        if held is None or self.history.last_change(item_id) > held.revision:
            return False
        try:
            return self.ours is not None and bool(self.ours.opened(item_id))
        except IntegrityError:
            return False

    def batches(self, altered: Sequence[UUID]) -> Iterator[list[UUID]]:
        """Yield the altered items in groups that fit one request."""
        batch, size = list[UUID](), 0
        for item_id in altered:
            if batch and (3 * len(batch) >= _CHANGES_MOST or size > _BYTES_MOST):
                yield batch
                batch, size = [], 0
            batch.append(item_id)
            size += self._size(item_id)
        if batch:
            yield batch

    def _size(self, item_id: UUID) -> int:
        return 0 if self.ours is None else sum(map(len, self.ours.opened(item_id))) * 2

    def changes(self, items: Sequence[UUID], n: int) -> list[Change]:
        """Return the changes that write items as this device holds them; ``n`` is the first's."""
        changes: list[Change] = []
        if self.ours is None:
            return changes
        for item_id in items:
            there, held = self.shown.state.items[item_id], self.ours.state.items[item_id]
            if there.state == "trash":
                changes.append(Change.restore(item_id))
            parts = self.ours.opened(item_id)
            changes.append(self.shown.put(item_id, held.type, n + len(changes), parts))
            if held.state == "trash":
                changes.append(Change.trash(item_id))
        return changes
