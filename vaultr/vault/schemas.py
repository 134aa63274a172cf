"""Request bodies and query parameters about vaults, items and their log."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from vaultr.protocol.encoding import unb64
from vaultr.protocol.sizes import (
    CHANGES_PER_BATCH,
    ITEM_TYPE,
    SYNC_LIMIT_DEFAULT,
    SYNC_LIMIT_MOST,
)
from vaultr.wire.field_types import Bytes32, From1, Id, In, Int, Page, Query
from vaultr.wire.strict_json import MAX_INTEGER


def _sealed(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a sealed value as base64url without padding")
    try:
        return unb64(value)
    except ValueError:
        return b""  # not base64url, so it cannot be ciphertext: rejected like an empty value


# The schema accepts any text; `change_rules` rejects a value that cannot be ciphertext.
Sealed = Annotated[
    bytes,
    PlainValidator(_sealed),
    WithJsonSchema({"type": "string", "contentEncoding": "base64url"}),
]
ItemType = Annotated[str, Field(pattern=f"^{ITEM_TYPE.pattern}$")]
ItemState = Literal["active", "trash"]


def _no_default(schema: dict[str, Any]) -> None:
    """Leave the default out of the OpenAPI document: a missing member has no default."""
    schema.pop("default", None)


class EntryIn(In):
    """The parts of a log entry that the writer computes; the server adds the rest."""

    n: From1
    prev: Bytes32
    vouch: Bytes32
    mac: Bytes32


class VaultNew(In):
    """A new vault, with generation 1 and revision 0."""

    id: Id
    sealed_key: Sealed
    overview: Sealed


class VaultRename(In):
    """A new sealed overview of the vault itself."""

    overview: Sealed
    generation: From1
    entry: EntryIn


class EntryAlone(In):
    """A write that consists only of its log entry: repair, or end of a rotation."""

    entry: EntryIn


class MachineWrap(In):
    """The new keys of a vault, sealed for one machine."""

    id: Id
    sealed_key: Sealed


class RotationNew(In):
    """New keys of a vault, sealed for its owner and for each machine that holds its keys."""

    generation: From1
    sealed_key: Sealed
    machines: list[MachineWrap]
    entry: EntryIn


class ItemPut(In):
    """The complete content of one item."""

    type: ItemType
    generation: From1
    content_revision: From1
    overview: Sealed
    detail: Sealed
    entry: EntryIn


class ItemMove(In):
    """A trash, restore or remove, which consists only of its log entry."""

    entry: EntryIn


_CONTENT = ("type", "generation", "content_revision", "overview", "detail")
_RULES: dict[str, Any] = {
    "not": {"required": ["if_match", "if_none_match"]},
    "if": {"properties": {"op": {"const": "put"}}},
    "then": {"required": list(_CONTENT)},
    "else": {"not": {"anyOf": [{"required": [name]} for name in _CONTENT]}},
}


class ChangeIn(In):
    """One change of a batch: a put with its content, or a trash, restore or remove."""

    model_config = ConfigDict(json_schema_extra=_RULES)

    op: Literal["put", "trash", "restore", "remove"]
    item_id: Id
    if_match: Int = Field(default=0, json_schema_extra=_no_default)
    if_none_match: Literal["*"] = Field(default="*", json_schema_extra=_no_default)
    type: ItemType = Field(default="", json_schema_extra=_no_default)
    generation: From1 = Field(default=0, json_schema_extra=_no_default)
    content_revision: From1 = Field(default=0, json_schema_extra=_no_default)
    overview: Sealed = Field(default=b"", json_schema_extra=_no_default)
    detail: Sealed = Field(default=b"", json_schema_extra=_no_default)
    entry: EntryIn

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        sent = self.model_fields_set
        if {"if_match", "if_none_match"} <= sent:
            raise ValueError("use if_match or if_none_match, not both")
        content = sent & set(_CONTENT)
        if self.op == "put" and len(content) < len(_CONTENT):
            raise ValueError(f"a put needs {', '.join(_CONTENT)}")
        if self.op != "put" and content:
            raise ValueError("only a put can have content")
        return self


class ChangesIn(In):
    """A batch: all changes are written in order, or none."""

    changes: list[ChangeIn] = Field(min_length=1, max_length=CHANGES_PER_BATCH)


class ChangesQuery(Query):
    """With `dry_run=true` the batch is only checked, and nothing is written."""

    dry_run: bool = False


class ItemsQuery(Page):
    """A filter for items; by default the active items of all types."""

    type: ItemType | None = None
    state: ItemState = "active"


class SyncQuery(Query):
    """The start of a page: in a delta the revision `since`; in the full set (0) `after`."""

    since: int = Field(default=0, ge=0, le=MAX_INTEGER)
    after: int | None = Field(default=None, ge=0, le=MAX_INTEGER)
    limit: int = Field(default=SYNC_LIMIT_DEFAULT, ge=1, le=SYNC_LIMIT_MOST)
