"""Convert an accepted set that no entry commits to into one that an entry commits to.

A repair entry commits to a set unchanged. If the set has content or states that do not come from a
signed entry, every other device would then trust them. So such items are first written again from
this device's copy, and the entries of that write leave them out until then.
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
    """A state that this client never accepts, even if the owner asks for it."""

    advice = (
        "Nothing was accepted or changed, and this device's copy can still be read with --offline. "
        "Run vaultr sync --explain on your other devices: one of them may have the missing content."
    )


@dataclass(frozen=True, slots=True)
class Unvouched:
    """One accepted set that no entry commits to.

    :ivar shown: the server's set, with its keys.
    :ivar ours: this device's copy of the vault; None if it has none.
    :ivar history: the server's whole log, as far as it is signed with the owner's keys.
    """

    shown: OpenVault
    ours: OpenVault | None
    history: CommonHistory = field(repr=False)

    def altered(self) -> list[UUID]:
        """Return the items whose form comes from no signed entry; this device writes them again."""
        self._check_name()
        held = self._held()
        altered = [
            item_id
            for item_id, shown in self.shown.state.items.items()
            if held.get(item_id) != shown
            and not (self.history.gives(item_id, shown) and self._opens(item_id))
        ]
        lost = [each for each in altered if not self._is_newest_here(each, held.get(each))]
        if lost:
            named = ", ".join(sorted(map(str, lost)))
            raise NotAccepted(
                "The server's content of these items was altered or cannot be opened, and this "
                f"device does not have their newest content: {named}.",
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
                f"The server shows a name of vault {self.shown.vault.id} that none of your devices "
                "has signed.",
                vault_id=self.shown.vault.id,
            )

    def _opens(self, item_id: UUID) -> bool:
        try:
            self.shown.opened(item_id)
        except (SealBroken, StateMismatch):
            return False
        return True

    def _is_newest_here(self, item_id: UUID, held: Held | None) -> bool:
        """Check that no signed entry changed the item after this device's revision."""
        if held is None or self.history.last_change(item_id) > held.revision:
            return False
        try:
            return self.ours is not None and bool(self.ours.opened(item_id))
        except IntegrityError:
            return False

    def batches(self, altered: Sequence[UUID]) -> Iterator[list[UUID]]:
        """Yield the altered items in groups that fit in one request."""
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
        """Return the changes that write items from this device's copy; ``n`` is the first one's."""
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
