"""The formats for whole vaults: documents of all items, and what the formats cannot hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from vaultr.client.vaultr_client import Item

# docs/vaultr-export.schema.json describes this version.
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Contents:
    """What is exported: items with their details, by vault."""

    vaults: Sequence[tuple[str, str, Sequence[Item]]] = field(repr=False)  # id, name, items

    @property
    def items(self) -> list[tuple[str, Item]]:
        """Return all items, each with the name of its vault."""
        return [(name, item) for _, name, items in self.vaults for item in items]


@dataclass(frozen=True, slots=True)
class Document:
    """A written export.

    :ivar notices: messages for the user about the file that are not errors.
    """

    text: str = field(repr=False)
    notices: Sequence[str] = ()


def json_value(contents: Contents, now: datetime) -> dict[str, Any]:
    """Return Vaultr's own format as JSON values, which :mod:`vaultr.client.imports` can read."""
    return {
        "vaultr_export": VERSION,
        "exported_at": _time(now),
        "vaults": [
            {"id": vault_id, "name": name, "items": [_item(item) for item in items]}
            for vault_id, name, items in contents.vaults
        ],
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "id": str(item.id),
        "type": item.type,
        "state": item.state,
        "created_at": _time(item.created_at),
        "updated_at": _time(item.updated_at),
        "overview": item.overview,
        "detail": item.detail or {},
    }


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {"csv": "csv_table", "bitwarden": "bitwarden", "keepass-xml": "keepass_xml"}
)
FORMATS: Final = ("json", *_MODULES)


def writer_of(form: str) -> Callable[[Contents], Document]:
    """Return the writer for one of ``FORMATS`` except json; load its module only now.

    :raises NotExpressible: raised by the writer if the format cannot hold an item.
    """
    module = import_module(f"vaultr.client.exports.{_MODULES[form]}")
    function: Callable[[Contents], Document] = module.document
    return function
