"""The values of an item that have no place in another format, as named texts."""

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from vaultr.client.vaultr_client import Item


class Named(NamedTuple):
    """One value with its name; hidden if other managers should hide it."""

    name: str
    value: str
    hidden: bool


def custom_fields(item: Item) -> Iterator[dict[str, Any]]:
    """Return the custom fields of an item."""
    fields = (item.detail or {}).get("fields")
    yield from (each for each in fields or [] if isinstance(each, dict))


def remaining(item: Item, taken: Collection[str]) -> Iterator[Named]:
    """Return all values except custom fields, source, and the names in ``taken``."""
    for name, value in item.overview.items():
        if name not in taken and value not in (None, "", [], {}, False):
            yield Named(name, _text(value), hidden=False)
    for name, value in (item.detail or {}).items():
        if name in taken or name in ("fields", "source") or value in (None, "", [], {}):
            continue
        if name == "variables" and isinstance(value, dict):
            yield from (Named(each, _text(text), hidden=True) for each, text in value.items())
        else:
            yield Named(name, _text(value), hidden=True)


def text_in(part: dict[str, Any] | None, name: str) -> str:
    """Return a string field of an overview or a detail; empty if it is missing."""
    value = (part or {}).get(name)
    return value if isinstance(value, str) else ""


def texts_in(part: dict[str, Any] | None, name: str) -> list[str]:
    """Return a list of strings of an overview or a detail."""
    value = (part or {}).get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
