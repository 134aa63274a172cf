"""Read the pages of a sync into one set, and check only their format."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast
from uuid import UUID

from vaultr.client.crypto.primitives import sha256
from vaultr.client.errors import AnswerInvalid, RolledBack, StateMismatch
from vaultr.client.log.entries import ItemState, SignedEntry, Waypoint, shown_place
from vaultr.client.log.state import Held, Overview
from vaultr.client.strict_json import Fields, Json
from vaultr.protocol.entries import HASH_BYTES, NO_ITEM, Entry, Op, item_content, overview_content
from vaultr.protocol.sizes import ITEM_TYPE, SYNC_LIMIT_MOST, VAULT_BYTES

# Limits for a server that never ends: ten million revisions, or four times a vault's quota.
PAGES_MOST: Final = 10_000
SEALED_BYTES_MOST: Final = 4 * VAULT_BYTES
# Approximate memory of a row or an entry, without sealed parts.
_RECORD_BYTES: Final = 1024
# Only these members of a row stay in memory; others do not count for the volume.
_ROW_MEMBERS: Final = (
    *("id", "type", "revision", "content_revision", "generation", "state"),
    *("overview", "detail", "created_at", "updated_at"),
)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """One whole item as the server returned it, and the hash of its sealed parts."""

    held: Held
    json: Json = field(repr=False)


@dataclass(slots=True)
class Shown:
    """A vault as the server shows it, unverified.

    :ivar since: the revision that the sync started from; 0 for the full set.
    :ivar wraps: the sealed keys of the vault by generation.
    :ivar volume: the approximate memory of the rows and entries of all pages, in bytes.
    :ivar vault: the vault in the last page.
    """

    vault_id: UUID
    since: int
    through: int
    n: int = 0
    head: bytes = b""
    generation: int = 0
    overview: Overview = field(default=Overview(0, 0, b""))
    head_entry: SignedEntry | None = None
    entries: list[SignedEntry] = field(default_factory=list)
    rows: dict[UUID, ItemRow] = field(default_factory=dict)
    removed: dict[UUID, int] = field(default_factory=dict)
    wraps: dict[int, bytes] = field(default_factory=dict)
    volume: int = 0
    vault: Json = field(default_factory=dict, repr=False)

    @property
    def items(self) -> dict[UUID, Held]:
        """The items by id, unverified."""
        return {item_id: row.held for item_id, row in self.rows.items()}

    @property
    def waypoint(self) -> Waypoint:
        """The revision, head and generation that the server claims."""
        return Waypoint(self.n, self.head, self.generation)


def gather(vault_id: UUID, pages: Iterable[Json], *, since: int) -> Shown:
    """Combine the pages of one sync from ``since`` (0: the full set).

    ``pages`` can be lazy: each page is checked before the next one is fetched. The next page of a
    delta has ``since=through``, that of a full set ``after=through``.

    :raises IntegrityError: a page is malformed, repeats an id, has a gap or ends early, or the
        pages have no end.
    """
    shown = Shown(vault_id=vault_id, since=since, through=since)
    more = True
    for number, page in enumerate(pages):
        if not more:
            raise _invalid("it continues after its end", vault_id)
        if number == PAGES_MOST or shown.volume > SEALED_BYTES_MOST:
            raise _invalid("it has no end", vault_id)
        more = _take_page(shown, Fields(page, "sync", AnswerInvalid))
    if more:
        raise _invalid("its end is missing", vault_id)
    return shown


def _take_page(shown: Shown, page: Fields) -> bool:
    before, shown.through = shown.through, page.count("through")
    revision, head = page.count("revision"), page.binary("head", HASH_BYTES)
    if revision < shown.n:
        both = f"first {shown.waypoint}, then {shown_place(revision, head)}"
        raise RolledBack(f"The server showed an older state in the middle of a sync: {both}.")
    more = page.flag("more")
    moves = before < shown.through < revision if more else before <= shown.through == revision
    if not moves:
        raise _invalid("its parts do not lead to the newest state", shown.vault_id)
    shown.n, shown.head = revision, head
    _take_vault(shown, page.within("vault"))
    _take_entries(shown, page, before)
    _take_rows(shown, page, before)
    return more


def _take_vault(shown: Shown, vault: Fields) -> None:
    claimed = (vault.uuid("id"), vault.count("revision"), vault.binary("head", HASH_BYTES))
    if claimed != (shown.vault_id, shown.n, shown.head):
        raise _invalid("one part of it contradicts another about the newest state", shown.vault_id)
    shown.generation = vault.count("generation", least=1)
    shown.overview = read_overview(vault)
    shown.wraps = read_wraps(vault, shown.vault_id)
    shown.vault = vault.raw()


def read_overview(vault: Fields) -> Overview:
    """Return the overview of a vault, with its hash."""
    return Overview(
        revision=vault.count("overview_revision"),
        generation=vault.count("overview_generation", least=1),
        content=overview_content(vault.binary("overview")),
    )


def read_wraps(vault: Fields, vault_id: UUID) -> dict[int, bytes]:
    """Return the sealed keys of a vault by generation.

    :raises StateMismatch: a generation has two wraps.
    """
    wraps: dict[int, bytes] = {}
    for wrap in vault.objects("keys"):
        generation, sealed = wrap.count("generation", least=1), wrap.binary("sealed_key")
        if wraps.setdefault(generation, sealed) != sealed:
            raise StateMismatch(
                f"The server returned two different keys as version {generation} of the keys of "
                f"vault {vault_id}.",
                vault_id=vault_id,
            )
    return wraps


def check_wraps(wraps: Mapping[int, object], generation: int, vault_id: UUID) -> None:
    """Check that a vault has the wraps of all its generations, and no others.

    :raises StateMismatch: one is missing, or one is for a generation that has not begun.
    """
    # Do not build a list of all generations: their number is only the server's claim.
    if max(wraps, default=0) > generation:
        what = "it returned newer ones than any of your devices made"
    elif len(wraps) < generation:
        missing = next(each for each in range(1, generation + 1) if each not in wraps)
        what = f"it did not return version {missing} of them"
    else:
        return
    raise StateMismatch(
        f"The server withholds or adds keys of vault {vault_id}, which has {generation} versions "
        f"of its keys: {what}.",
        vault_id=vault_id,
    )


def _take_entries(shown: Shown, page: Fields, before: int) -> None:
    listed = list(page.objects("entries"))
    if len(listed) > SYNC_LIMIT_MOST:
        raise _invalid("it has more log entries than were requested", shown.vault_id)
    # Compare lengths first: a list built from `through` could have any length that the server
    # sends.
    gap = len(listed) != (shown.through - before if shown.since else 0)
    entries = [] if gap else [read_entry(shown.vault_id, fields) for fields in listed]
    if gap or any(each.entry.n != n for n, each in enumerate(entries, start=before + 1)):
        raise _invalid("its log has a gap, or entries that were not requested", shown.vault_id)
    shown.entries += entries
    shown.volume += _RECORD_BYTES * len(entries)
    last = page.within_or_none("head_entry")
    shown.head_entry = None if last is None else read_entry(shown.vault_id, last)


def _take_rows(shown: Shown, page: Fields, before: int) -> None:
    rows = {}
    revisions = []
    for fields in page.objects("items"):
        item_id, row = read_row(fields)
        if item_id in rows:
            raise StateMismatch(
                f"The server returned item {item_id} twice.", vault_id=shown.vault_id
            )
        rows[item_id] = row
        shown.volume += len(row.json["overview"]) + len(row.json["detail"])
        revisions.append(row.held.revision)
    for fields in page.objects("removed"):
        item_id, revision = fields.uuid("id"), fields.count("revision", least=1)
        if item_id in shown.removed or item_id in rows:
            raise StateMismatch(
                f"The server returned item {item_id} twice.", vault_id=shown.vault_id
            )
        shown.removed[item_id] = revision
        shown.rows.pop(item_id, None)
        revisions.append(revision)
    if len(revisions) > SYNC_LIMIT_MOST:
        raise _invalid("it has more items than were requested", shown.vault_id)
    shown.volume += _RECORD_BYTES * len(revisions)
    if any(not before < revision <= shown.through for revision in revisions):
        raise _invalid("it has an item with a revision that was not requested", shown.vault_id)
    if len(set(revisions)) != len(revisions):
        raise _invalid("it has two items with one revision", shown.vault_id)
    if back := rows.keys() & shown.removed.keys():
        raise StateMismatch(
            f"Item {back.pop()} was removed, but the server still returns it.",
            vault_id=shown.vault_id,
        )
    shown.rows.update(rows)


def read_row(fields: Fields) -> tuple[UUID, ItemRow]:
    """Return the id of one whole item, and the item with its hash.

    :raises AnswerInvalid: it is malformed.
    """
    item_id, kind = fields.uuid("id"), fields.text("type")
    if item_id == NO_ITEM or not ITEM_TYPE.fullmatch(kind):
        raise AnswerInvalid("The server returned an item with an invalid id or type.")
    held = Held(
        revision=fields.count("revision", least=1),
        content_revision=fields.count("content_revision", least=1),
        generation=fields.count("generation", least=1),
        type=kind,
        content=item_content(
            kind, fields.count("generation"), fields.binary("overview"), fields.binary("detail")
        ),
        state=cast(ItemState, fields.choice("state", "active", "trash")),
    )
    if held.content_revision > held.revision:
        raise AnswerInvalid(f"The content of item {item_id} has a higher revision than the item.")
    json = fields.raw()
    return item_id, ItemRow(
        held=held, json={name: json[name] for name in _ROW_MEMBERS if name in json}
    )


def read_entry(vault_id: UUID, fields: Fields) -> SignedEntry:
    """Return one entry of the log with its computed head.

    :raises AnswerInvalid: it is malformed, or its head is wrong.
    """
    entry = Entry(
        vault_id=vault_id,
        n=fields.count("n", least=1),
        prev=fields.binary("prev", HASH_BYTES),
        op=Op(fields.choice("op", *Op)),
        item_id=fields.uuid_or_none("item_id"),
        content_revision=fields.count("content_revision"),
        content=fields.binary("content", HASH_BYTES),
        generation=fields.count("generation", least=1),
        author_id=fields.uuid("author_id"),
        vouch=fields.binary("vouch", HASH_BYTES),
    )
    mac = fields.binary("mac", HASH_BYTES)
    head = sha256(entry.signed() + mac)
    if fields.binary("head", HASH_BYTES) != head:
        raise AnswerInvalid(
            f"Log entry {entry.n} of vault {vault_id} is damaged: "
            "it does not match its own checksum."
        )
    return SignedEntry(entry=entry, mac=mac, head=head)


def _invalid(what: str, vault_id: UUID) -> AnswerInvalid:
    return AnswerInvalid(
        f"The server's response about vault {vault_id} is invalid: {what}.", vault_id=vault_id
    )
