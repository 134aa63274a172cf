"""Convert rows to JSON without intermediate objects, which makes a full sync fast.

Measured on two cores with 10,000 items of 610 sealed bytes in pages of 500: fetching takes
54 ms, with JSON 80 ms; models in between add another 110 ms. The database formats ids and times
as text, because a `UUID` and two `datetime` objects for each item cost as much as the rest.
"""

import binascii
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from vaultr.database.session import postgresql

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_ENTRY: Final = (
    "n", "prev", "op", "item_id", "content_revision", "content", "generation", "author_id",
    "vouch", "mac", "head",
)  # fmt: skip
ENTRY_COLUMNS: Final = len(_ENTRY)
SUMMARY_COLUMNS: Final = 10
ITEM_COLUMNS: Final = SUMMARY_COLUMNS + 1
_TIME: Final = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""


def b64(data: bytes | memoryview) -> str:
    """Encode as base64url without padding; all but the last step runs in C."""
    text = binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_URL_SAFE)
    return text.decode("ascii")


@cache
def _sql_formats(on_postgresql: bool) -> tuple[str, str]:
    """Return the SQL formats that select an id and a time as the text that the API returns."""
    if on_postgresql:
        return "CAST({0} AS text)", f"to_char({{0}} AT TIME ZONE 'UTC', {_TIME})"
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    hyphened = " || '-' || ".join(f"substr({{0}}, {at}, {size})" for at, size in parts)
    return hyphened, "replace({0}, ' ', 'T') || 'Z'"


def id_text(column: str) -> str:
    """Return SQL that selects an id as text."""
    return _sql_formats(postgresql())[0].format(column)


def time_text(column: str) -> str:
    """Return SQL that selects a time as text."""
    return _sql_formats(postgresql())[1].format(column)


def item_columns() -> str:
    """Return the columns of `items i` without the sealed parts, in the order of `item_json`."""
    times = [f"{time_text(f'i.{name}')} AS {name}" for name in ("created_at", "updated_at")]
    numbers = "i.revision, i.content_revision, i.generation, i.size"
    return f"{id_text('i.id')} AS id, i.type, i.state, {numbers}, {', '.join(times)}"


def summary_json(row: Sequence[Any]) -> str:
    """Convert one item without its detail: `item_columns`, overview."""
    (item_id, kind, state, revision, content_revision, generation, size, created, updated,
     overview) = row  # fmt: skip
    return (
        f'{{"id":"{item_id}","type":"{kind}","state":"{state}","revision":{revision},'
        f'"content_revision":{content_revision},"generation":{generation},"size":{size},'
        f'"created_at":"{created}","updated_at":"{updated}","overview":"{b64(overview)}"}}'
    )


def item_json(row: Sequence[Any]) -> str:
    """Convert one item: `item_columns`, overview, detail."""
    return f'{summary_json(row[:-1])[:-1]},"detail":"{b64(row[-1])}"}}'


def entry_columns() -> str:
    """Return the columns of `entries e` in the order of `entry_json`."""
    chosen = {name: f"e.{name}" for name in _ENTRY}
    chosen |= {name: id_text(f"e.{name}") for name in ("item_id", "author_id")}
    return ", ".join(f"{text} AS entry_{name}" for name, text in chosen.items())


def entry_json(row: Sequence[Any]) -> str:
    """Convert one entry of the log: `entry_columns`."""
    n, prev, op, item_id, content_revision, content, generation, author, vouch, mac, head = row
    about = "null" if item_id is None else f'"{item_id}"'
    return (
        f'{{"n":{n},"prev":"{b64(prev)}","op":"{op}","item_id":{about},'
        f'"content_revision":{content_revision},"content":"{b64(content)}",'
        f'"generation":{generation},"author_id":"{author}","vouch":"{b64(vouch)}",'
        f'"mac":"{b64(mac)}","head":"{b64(head)}"}}'
    )


def removed_json(row: Sequence[Any]) -> str:
    """Convert one removed item: id as text, revision."""
    item_id, revision = row
    return f'{{"id":"{item_id}","revision":{revision}}}'


def array(parts: Iterable[str]) -> str:
    """Join values that are already JSON to a JSON array."""
    return f"[{','.join(parts)}]"
