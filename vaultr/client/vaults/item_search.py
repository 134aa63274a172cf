"""Find items by id or title, and list the matches of an ambiguous title."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from vaultr.client.errors import ItemNotFound, VaultrError
from vaultr.client.log.entries import ItemState
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.name_matching import Ambiguous, as_id, meant, near, on_one_line, which
from vaultr.client.vaults.reader import Item, Reader

States = tuple[ItemState, ...]
_STATE_HINTS: Final[Mapping[ItemState, str]] = {
    "trash": " One is in the trash: restore it first with `vaultr restore`.",
    "active": " One has this title, but it is not in the trash.",
}


class Finder:
    """Finds items of one unlocked account."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def find(
        self,
        ref: str,
        vaults: Iterable[CachedVault],
        states: States,
        *,
        else_in: States = (),
        exactly: bool = False,
    ) -> tuple[CachedVault, Item]:
        """Find an item by its id, or by a title that is unique among those in ``states``.

        An exact title, in any state, takes precedence over one that differs in case.

        :param else_in: the states to search if nothing in ``states`` matches.
        :param exactly: reject titles that differ in case.
        :raises ItemNotFound: no item matches; names similar titles.
        :raises Ambiguous: several items have this title, or this id in several vaults.
        """
        by_id = {vault.id: vault for vault in vaults}
        wanted = as_id(ref)
        if wanted is None:
            found = self._titled(ref, list(by_id.values()), (states, else_in), exactly)
        else:
            held = [vault for vault in by_id.values() if wanted in vault.state.items]
            found = [self._reader.item(vault, wanted) for vault in held]
        if not found:
            raise _not_found()
        if len(found) > 1:
            raise self._ambiguous(ref, found, by_id)
        return by_id[found[0].vault_id], found[0]

    def find_all(
        self, refs: Iterable[str], vaults: Iterable[CachedVault], states: States
    ) -> list[tuple[CachedVault, Item]]:
        """Find several items by exact titles, opening each overview at most once.

        A command that removes items must not remove an item with a similar title when it is
        repeated.
        """
        vaults, refs = list(vaults), list(refs)
        titled: dict[str, list[Item]] = {}
        if any(as_id(ref) is None for ref in refs):
            for item in self._reader.items(vaults, states):
                if item.opens:
                    titled.setdefault(item.title, []).append(item)
        by_id = {vault.id: vault for vault in vaults}
        found = []
        for ref in refs:
            named = titled.get(ref, [])
            if as_id(ref) is None and len(named) == 1:
                found.append((by_id[named[0].vault_id], named[0]))
                continue
            try:  # an id, or a title that no item or several items have
                found.append(self.find(ref, vaults, states, exactly=True))
            except VaultrError as error:
                if len(refs) > 1:
                    error.add_note(f"This is about {on_one_line(ref)}. Nothing was changed.")
                raise
        return found

    def _titled(
        self, title: str, vaults: Sequence[CachedVault], states: Iterable[States], exactly: bool
    ) -> list[Item]:
        titles, alike = list[str](), list[Item]()
        states = list(states)
        for part in states:
            named = [(each.title, each) for each in self._reader.items(vaults, part) if each.opens]
            found = meant(title, named, exactly=exactly)
            if found and found[0].title == title:
                return found
            alike = alike or found
            titles += (name for name, _ in named)
        if not alike:
            raise _not_found(self._other_state(title, vaults, states) or near(title, titles))
        return alike

    def _other_state(
        self, title: str, vaults: Sequence[CachedVault], searched: Sequence[States]
    ) -> str:
        """Return a hint if an item has the title but is in a state that was not searched."""
        others = [each for each in _STATE_HINTS if not any(each in part for part in searched)]
        for state in others:
            named = (item.title for item in self._reader.items(vaults, (state,)))
            if title and title in named:
                return _STATE_HINTS[state]
        return ""

    def _ambiguous(
        self, ref: str, found: Sequence[Item], vaults: Mapping[UUID, CachedVault]
    ) -> Ambiguous:
        names = [self._reader.vault_name(vaults[item.vault_id]) for item in found]
        ways = ["name one by its id"] if len({item.id for item in found}) > 1 else []
        # The vault identifies an item only if each match is in a different vault.
        if len({item.vault_id for item in found}) == len(found):
            ways.append("name the vault")
        rows = [
            (str(item.id), name, item.title, str(item.overview.get("username", "")))
            for name, item in zip(names, found, strict=True)
        ]
        return which(f"{len(found)} items are called {ref}", rows, advice=", or ".join(ways))


def _not_found(hint: str = "") -> ItemNotFound:
    error = ItemNotFound("item-not-found", 404, f"There is no such item.{hint}")
    if not hint:
        error.add_note("To list the items: vaultr list")
    return error
