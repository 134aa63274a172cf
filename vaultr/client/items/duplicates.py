"""Check which drafts a vault already has, so that importing them again creates no duplicates."""

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from vaultr.client.errors import SealBroken
from vaultr.client.items.schemas import Draft
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.reader import Item, Reader


class Presence(StrEnum):
    """Whether a vault has a draft, or other content with the same type, title and user name."""

    NEW = "new"
    SAME = "same"
    CHANGED = "changed"


def presence(reader: Reader, vault: CachedVault, drafts: Sequence[Draft]) -> list[Presence]:
    """Compare drafts with the active items of a vault; open only the details that may match."""
    namesakes: dict[tuple[str, str, str], list[Item]] = {}
    for item in reader.items([vault], ("active",)):
        namesakes.setdefault(_name(item.type, item.overview), []).append(item)
    contents: dict[tuple[str, str, str], set[str]] = {}
    found = []
    for draft in drafts:
        name = _name(draft.type, draft.overview)
        if name in namesakes and name not in contents:
            contents[name] = set(_contents(reader, vault, namesakes[name]))
        same = _content(draft.overview, draft.detail) in contents.get(name, ())
        found.append(
            Presence.SAME if same else Presence.CHANGED if name in namesakes else Presence.NEW
        )
    return found


def _name(type: str, overview: dict[str, Any]) -> tuple[str, str, str]:
    return type, str(overview.get("title", "")), str(overview.get("username", ""))


def _contents(reader: Reader, vault: CachedVault, items: Iterable[Item]) -> Iterable[str]:
    for item in items:
        try:
            yield _content(item.overview, reader.detail(vault, item.id))
        except SealBroken:
            continue  # an item that cannot be opened cannot equal the draft


def _content(overview: dict[str, Any], detail: dict[str, Any]) -> str:
    # As JSON, where true differs from 1 and the order of names does not matter.
    return json.dumps([overview, detail], sort_keys=True)
