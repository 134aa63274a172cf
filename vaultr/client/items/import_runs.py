"""Mark imported items, and find them again for a newer file or an undo."""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from vaultr.client.crypto.primitives import sha256
from vaultr.client.errors import SealBroken, VaultrError
from vaultr.client.items.duplicates import Presence
from vaultr.client.items.schemas import Draft, Part, sealed_bytes
from vaultr.client.storage.cache import CachedVault
from vaultr.client.vaults.reader import Item, Reader
from vaultr.protocol.sizes import ITEMS_PER_VAULT, MIB, VAULT_BYTES

_RUN_BYTES: Final = 6
# Members that this module adds to an item's source; they are not content of the other manager.
_MARKS: Final = frozenset({"run", "imported_at", "digest"})
_OWN: Final = "vaultr"


class ImportExceedsQuota(VaultrError):
    """The import exceeds the quota of the vault; nothing was written."""

    exit_code = 1


class ImportInterrupted(VaultrError):
    """The import was interrupted; the message says what is in the vault."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Match:
    """What a vault has for one draft.

    :ivar item: the item with the same source id; None if only content was compared.
    """

    presence: Presence
    item: Item | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ImportRun:
    """One run of the import command: what it added, and what was changed since."""

    id: str
    manager: str
    imported_at: str
    unchanged: tuple[Item, ...] = field(repr=False)
    changed: tuple[Item, ...] = field(repr=False)


def new_run_id() -> str:
    """Return a random id for one run."""
    return secrets.token_hex(_RUN_BYTES)


def marked(draft: Draft, run: str, now: datetime) -> Draft:
    """Return the draft with the run's id, its time, and a digest of its content in its source."""
    source = draft.detail.get("source", {})
    marks = {
        "run": run,
        "imported_at": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "digest": _digest(draft.overview, draft.detail),
    }
    return Draft(draft.type, draft.overview, {**draft.detail, "source": {**source, **marks}})


def matches(reader: Reader, vault: CachedVault, drafts: Sequence[Draft]) -> list[Match]:
    """Compare drafts with the active items of a vault.

    A draft with a source id is compared with the item of the same source id. They match if their
    content is equal, or if the file has nothing newer since the item was imported. A draft without
    one is compared with the content of items that have the same title.
    """
    items = list(_opened(reader, [vault], ("active",)))
    by_source = {key: item for item in items for key in _keys(item)}
    by_name: dict[tuple[str, str, str], list[Item]] = {}
    for item in items:
        by_name.setdefault(_name(item.type, item.overview), []).append(item)
    return [_match(draft, by_source, by_name) for draft in drafts]


def _match(
    draft: Draft,
    by_source: Mapping[tuple[str, str, str], Item],
    by_name: Mapping[tuple[str, str, str], Sequence[Item]],
) -> Match:
    key = _source_key(draft.type, draft.detail)
    known = by_source.get(key) if key is not None else None
    if known is not None:
        digest = _source(known.detail).get("digest")
        same = _same(draft, known) or digest == _digest(draft.overview, draft.detail)
        return Match(Presence.SAME if same else Presence.CHANGED, known)
    namesakes = by_name.get(_name(draft.type, draft.overview), ())
    if any(_same(draft, item) for item in namesakes):
        return Match(Presence.SAME)
    if key is not None:
        # Another entry of that manager, even if the names are the same.
        return Match(Presence.NEW)
    return Match(Presence.CHANGED if namesakes else Presence.NEW)


def replacement(draft: Draft, item: Item) -> tuple[Part, Part]:
    """Return the changes that turn an item into the draft; keep its marks of the first run."""
    marks = {name: value for name, value in _source(item.detail).items() if name in _MARKS}
    source = {**draft.detail.get("source", {}), **marks}
    if marks:
        source["digest"] = _digest(draft.overview, draft.detail)
    detail = {**draft.detail, "source": source}
    return _change(item.overview, draft.overview), _change(item.detail or {}, detail)


def _change(before: Part, after: Part) -> Part:
    change: Part = {name: None for name in before if name not in after} | after
    old, new = before.get("variables"), after.get("variables")
    if isinstance(old, dict) and isinstance(new, dict):
        change["variables"] = {name: None for name in old if name not in new} | new
    return change


def check_quota(vault: CachedVault, drafts: Sequence[Draft]) -> None:
    """Check that new items fit the default quotas of a server.

    :raises ImportExceedsQuota: they do not fit.
    """
    free = ITEMS_PER_VAULT - len(vault.state.items)
    if len(drafts) > free:
        raise ImportExceedsQuota(
            f"The import has {len(drafts)} new items, but this vault has room for only"
            f" {max(free, 0)} (of {ITEMS_PER_VAULT}). Nothing was imported. Use --new-vault NAME."
        )
    if sum(sealed_bytes(each.overview, each.detail) for each in drafts) > VAULT_BYTES:
        raise ImportExceedsQuota(
            f"The import is larger than {VAULT_BYTES // MIB} MiB. Nothing was imported. "
            "Split the file."
        )


def import_runs(reader: Reader, vaults: Iterable[CachedVault]) -> list[ImportRun]:
    """List the runs whose items are still there, oldest first."""
    found: dict[str, ImportRun] = {}
    for item in _opened(reader, vaults, ("active",)):
        source = _source(item.detail)
        run = source.get("run")
        if not isinstance(run, str):
            continue
        at, manager = source.get("imported_at"), source.get("manager")
        before = found.get(run) or ImportRun(run, str(manager or "dotenv"), str(at), (), ())
        if source.get("digest") == _digest(item.overview, item.detail or {}):
            found[run] = replace(before, unchanged=(*before.unchanged, item))
        else:
            found[run] = replace(before, changed=(*before.changed, item))
    return sorted(found.values(), key=lambda each: (each.imported_at, each.id))


def _opened(
    reader: Reader, vaults: Iterable[CachedVault], states: tuple[Any, ...]
) -> Iterator[Item]:
    """Open the items with their details; an item that cannot be opened matches nothing."""
    for vault in vaults:
        for item in reader.items([vault], states):
            try:
                yield reader.with_detail(vault, item)
            except SealBroken:
                continue


def _name(type: str, overview: Part) -> tuple[str, str, str]:
    return type, str(overview.get("title", "")), str(overview.get("username", ""))


def _source(detail: Part | None) -> Part:
    source = (detail or {}).get("source")
    return source if isinstance(source, dict) else {}


def _source_key(type: str, detail: Part | None) -> tuple[str, str, str] | None:
    source = _source(detail)
    manager, identity = source.get("manager"), source.get("id")
    if isinstance(manager, str) and isinstance(identity, str) and identity:
        return type, manager, identity
    return None


def _keys(item: Item) -> Iterator[tuple[str, str, str]]:
    key = _source_key(item.type, item.detail)
    if key is not None:
        yield key
    # Our own export uses the id of items without a source.
    yield item.type, _OWN, str(item.id)


def _same(draft: Draft, item: Item) -> bool:
    own = _source(draft.detail).get("manager") == _OWN
    mine = _content(draft.overview, draft.detail, with_source=not own)
    return mine == _content(item.overview, item.detail or {}, with_source=not own)


def _content(overview: Part, detail: Part, *, with_source: bool = True) -> str:
    source = {name: each for name, each in _source(detail).items() if name not in _MARKS}
    plain = {name: each for name, each in detail.items() if name != "source"}
    # As JSON, where true differs from 1 and the order of names does not matter.
    return json.dumps([overview, plain, source if with_source else {}], sort_keys=True)


def _digest(overview: Part, detail: Part) -> str:
    return sha256(_content(overview, detail).encode()).hex()[:32]
