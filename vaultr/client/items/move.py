"""Move and copy items to another vault, without loss and without silent duplicates.

An item is first written to the other vault, and moved to the trash only after that write was
verified. Its new id is derived from the old one, so that a repeated move, on any device, finds the
items that are already moved. An unfinished move is recorded on this device.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from vaultr.client.crypto.primitives import KEY_BYTES, hkdf_expand, hmac_sha256
from vaultr.client.errors import Conflict, QuotaExceeded, VaultrError
from vaultr.client.storage.cache import CachedVault
from vaultr.client.strict_json import Fields
from vaultr.client.vaults.batches import Batches
from vaultr.client.vaults.reader import Reader
from vaultr.client.vaults.unlocked_account import UnlockedAccount
from vaultr.client.vaults.vaults import Vaults
from vaultr.client.vaults.write_intents import EditConflict, Move, RawPut
from vaultr.client.vaults.writer import Writer
from vaultr.protocol.encoding import lp
from vaultr.protocol.entries import Op

_LABEL: Final = "vaultr/v1/moved-item"
# The type of an item, and both its parts as the bytes that were sealed.
Content = tuple[str, tuple[bytes, bytes]]

_ROUNDS: Final = 6
_IDS_MOST: Final = 50


class InBoth(VaultrError):
    """Items are in both vaults, because others kept editing them; nothing is lost."""


@dataclass(frozen=True, slots=True)
class Moved:
    """An item that was moved or copied.

    :ivar item_id: its new id, in the vault ``vault_id``.
    :ivar was: its old id.
    """

    item_id: UUID
    vault_id: UUID
    was: UUID


class Mover:
    """Moves items between the vaults of one unlocked account."""

    def __init__(self, account: UnlockedAccount, vaults: Vaults, writer: Writer) -> None:
        self._account = account
        self._store = account.store
        self._vaults = vaults
        self._reader: Reader = vaults.reader
        self._writer = writer
        self._key = hkdf_expand(account.wrap_key, lp(_LABEL), KEY_BYTES)

    def copy(self, source_id: UUID, items: Sequence[UUID], target_id: UUID) -> list[Moved]:
        """Copy active items to another vault, each with a new id."""
        source = self._reader.vault(source_id)
        ground = self._reader.open_vault(source)
        ids = {item_id: uuid4() for item_id in items}
        puts = [
            RawPut(ids[each], source.state.items[each].type, ground.opened(each)) for each in items
        ]
        self._put(target_id, puts)
        return [Moved(ids[each], target_id, each) for each in items]

    def move(self, source_id: UUID, items: Sequence[UUID], target_id: UUID) -> list[Moved]:
        """Move active items to another vault; the originals go to the trash.

        :raises InBoth: others kept editing some items, which are now in both vaults.
        """
        return self._move(source_id, self._target_ids(source_id, items, target_id), target_id)

    def _move(self, source_id: UUID, ids: dict[UUID, UUID], target_id: UUID) -> list[Moved]:
        self._keep(source_id, ids, target_id)
        items = list(ids)
        for _ in range(_ROUNDS):
            left = self._left(source_id, items)
            if not left:
                break
            self._trash(source_id, self._copied(source_id, left, target_id, ids))
        if left := self._left(source_id, items):
            named = ", ".join(map(str, left))
            raise InBoth(
                f"These items are in both vaults, because somebody kept editing them: {named}."
                " To complete the move, run the same command again."
            )
        self._store.forget_move()
        return [Moved(mine, target_id, was) for was, mine in ids.items()]

    def _keep(self, source_id: UUID, ids: Mapping[UUID, UUID], target_id: UUID) -> None:
        pairs = {str(was): str(mine) for was, mine in ids.items()}
        self._store.keep_move({"from": str(source_id), "to": str(target_id), "items": pairs})

    def _target_ids(
        self, source_id: UUID, items: Sequence[UUID], target_id: UUID
    ) -> dict[UUID, UUID]:
        """Return the id that each item has or will get in the other vault."""
        source, target = self._reader.vault(source_id), self._reader.vault(target_id)
        ground = self._reader.open_vault(source)
        contents = {each: (source.state.items[each].type, ground.opened(each)) for each in items}
        return {
            each: self._target_id(source_id, each, target, content)
            for each, content in contents.items()
        }

    def unfinished(self) -> str | None:
        """Describe the unfinished move; None if every move is complete."""
        found = self._begun()
        if found is None:
            return None
        source_id, items, target_id = found
        names = [self._name(each) for each in (source_id, target_id)]
        return (
            f"A move from {names[0]} to {names[1]} was interrupted, and its items may be in both "
            f"vaults (number of items: {len(items)}). To continue it: vaultr move --resume."
        )

    def resume(self) -> list[Moved]:
        """Continue the unfinished move."""
        found = self._begun()
        if found is None:
            return []
        source_id, ids, target_id = found
        held = {vault.id for vault in self._reader.vaults()}
        if not {source_id, target_id} <= held:
            self._store.forget_move()  # one of the vaults has been deleted
            return []
        return self._move(source_id, ids, target_id)

    def _begun(self) -> tuple[UUID, dict[UUID, UUID], UUID] | None:
        kept = self._store.move()
        if kept is None:
            return None
        fields = Fields(kept, "move", VaultrError)
        ids = {UUID(was): UUID(mine) for was, mine in kept["items"].items()}
        return fields.uuid("from"), ids, fields.uuid("to")

    def _name(self, vault_id: UUID) -> str:
        for vault in self._reader.vaults():
            if vault.id == vault_id:
                return self._reader.vault_name(vault)
        return str(vault_id)

    def _left(self, source_id: UUID, items: Iterable[UUID]) -> list[UUID]:
        held = self._reader.vault(source_id).state.items
        return [each for each in items if each in held and held[each].state == "active"]

    def _copied(
        self, source_id: UUID, items: Sequence[UUID], target_id: UUID, ids: dict[UUID, UUID]
    ) -> dict[UUID, int]:
        """Write the current contents to the other vault, unless they are already there.

        :param ids: the new id of each item; an id that cannot be used is replaced here.
        :return: the content revision of each item whose exact content is now in the other vault.
        """
        source, target = self._reader.vault(source_id), self._reader.vault(target_id)
        sources, puts = self._reader.open_vault(source), []
        contents = {each: (source.state.items[each].type, sources.opened(each)) for each in items}
        for item_id, content in contents.items():
            mine = ids[item_id]
            if self._is_there(target, mine, content):
                continue
            held = target.state.items.get(mine)
            seen = held.content_revision if held else None
            puts.append(RawPut(mine, *content, seen=seen))
        self._put_each(source_id, puts, target_id, ids)
        target = self._reader.vault(target_id)
        return {
            item_id: source.state.items[item_id].content_revision
            for item_id, content in contents.items()
            if self._is_there(target, ids[item_id], content)
        }

    def _is_there(self, target: CachedVault, mine: UUID, content: Content) -> bool:
        held = target.state.items.get(mine)
        if held is None or held.state != "active":
            return False
        return (held.type, self._reader.open_vault(target).opened(mine)) == content

    def _put_each(
        self, source_id: UUID, puts: Sequence[RawPut], target_id: UUID, ids: dict[UUID, UUID]
    ) -> None:
        try:
            self._put(target_id, puts)
        except EditConflict:
            return  # another device continues the same move: the next round checks again
        except QuotaExceeded:
            raise
        except Conflict:  # a removed id cannot be used again: try the next ones
            for put in puts:
                item_id = self._origin(ids, put.item_id)
                ids[item_id] = self._put_alone(source_id, put, item_id, target_id)
            self._keep(source_id, ids, target_id)

    def _origin(self, ids: dict[UUID, UUID], mine: UUID) -> UUID:
        return next(item_id for item_id, other in ids.items() if other == mine)

    def _put_alone(self, source_id: UUID, put: RawPut, item_id: UUID, target_id: UUID) -> UUID:
        for mine in self._ids(source_id, item_id, target_id):
            held = self._reader.vault(target_id).state.items.get(mine)
            if held is not None and mine != put.item_id:
                continue
            seen = held.content_revision if held else None
            try:
                self._put(target_id, [RawPut(mine, put.type, put.parts, seen=seen)])
            except Conflict:
                continue
            return mine
        raise InBoth(
            f"Item {item_id} cannot be moved: it was moved and removed too often. To copy it"
            " instead: vaultr move ITEM --to VAULT --keep"
        )

    def _target_id(
        self, source_id: UUID, item_id: UUID, target: CachedVault, content: Content
    ) -> UUID:
        for mine in self._ids(source_id, item_id, target.id):
            if mine not in target.state.items or self._is_there(target, mine, content):
                return mine
        raise InBoth(
            f"Item {item_id} cannot be moved: it was moved to this vault too often. To copy it"
            " instead: vaultr move ITEM --to VAULT --keep"
        )

    def _ids(self, source_id: UUID, item_id: UUID, target_id: UUID) -> Iterator[UUID]:
        """Yield the possible new ids of an item; only the account's keys show how they relate."""
        for number in range(_IDS_MOST):
            bound = lp(_LABEL, source_id, item_id, target_id, number)
            yield UUID(bytes=hmac_sha256(self._key, bound)[:16], version=4)

    def _put(self, vault_id: UUID, puts: Sequence[RawPut]) -> None:
        batches, done = Batches(self._writer), 0
        sizes = [sum(map(len, put.parts)) * 2 for put in puts]
        while done < len(puts):
            done += batches.write(vault_id, puts[done:], sizes[done:])

    def _trash(self, vault_id: UUID, seen: Mapping[UUID, int]) -> None:
        """Trash the items that have not changed since they were copied."""
        batches = Batches(self._writer)
        while True:
            held = self._reader.vault(vault_id).state.items
            moves = [
                Move(Op.TRASH, each, seen=seen[each])
                for each in self._left(vault_id, seen)
                if held[each].content_revision == seen[each]
            ]
            if not moves:
                return
            with contextlib.suppress(EditConflict):
                batches.write(vault_id, moves, [0] * len(moves))
