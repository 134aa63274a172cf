"""The types of request and response fields, each with one accepted form.

Values that cannot be ciphertext are rejected, so that no feature stores plaintext by accident.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, get_args
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from vaultr import clock
from vaultr.errors import FieldError, Unprocessable
from vaultr.protocol.encoding import ID_PATTERN, b64, unb64
from vaultr.protocol.sealed import is_sealed
from vaultr.protocol.sizes import KEY_WRAP_BYTES, LIST_LIMIT_DEFAULT, LIST_LIMIT_MOST
from vaultr.wire.strict_json import _UNWANTED, MAX_INTEGER

_ID = re.compile(ID_PATTERN)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)
_WHOLE = re.compile(r"0|[1-9][0-9]{0,15}")


def _id(value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ValueError("must be a lower-case UUID with dashes")
    return UUID(value)


@dataclass(frozen=True, slots=True)
class Octets:
    """A binary value, ``Annotated[bytes, Octets(1, 64)]``: base64url without padding."""

    minimum: int = 0
    maximum: int | None = None

    def read(self, value: object) -> bytes:
        """Return the bytes, after checking their number."""
        if isinstance(value, bytes):
            return value
        if not isinstance(value, str):
            raise ValueError("must be base64url without padding")
        data = unb64(value)
        if len(data) < self.minimum or (self.maximum is not None and len(data) > self.maximum):
            raise ValueError(f"must be base64url of {self._size()} bytes")
        return data

    def _size(self) -> str:
        if self.minimum == self.maximum:
            return f"exactly {self.minimum}"
        return (
            f"{self.minimum} or more"
            if self.maximum is None
            else f"{self.minimum} to {self.maximum}"
        )

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                b64, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string", "pattern": "^[A-Za-z0-9_-]*$"}
        if self.minimum:
            schema["minLength"] = (self.minimum * 8 + 5) // 6
        if self.maximum is not None:
            schema["maxLength"] = (self.maximum * 8 + 5) // 6
        return schema


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be an integer")
    if not 0 <= value <= MAX_INTEGER:
        raise ValueError("must be an integer of at least 0")
    return value


def _positive_integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_INTEGER:
        raise ValueError("must be an integer of at least 1")
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("must be a time in UTC, such as 2026-11-24T09:30:00Z")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an existing time") from None


def is_id(text: str) -> bool:
    """Return whether ``text`` is an id in canonical form."""
    return _ID.fullmatch(text) is not None


Id = Annotated[
    UUID,
    PlainValidator(_id),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "format": "uuid", "pattern": f"^{ID_PATTERN}$"}),
]
Bytes = Annotated[bytes, Octets()]
Bytes32 = Annotated[bytes, Octets(32, 32)]
Int = Annotated[
    int,
    PlainValidator(_integer),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_INTEGER}),
]
From1 = Annotated[
    int,
    PlainValidator(_positive_integer),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_INTEGER}),
]
Time = Annotated[
    datetime,
    PlainValidator(_moment),
    PlainSerializer(clock.text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def sealed_value(most: int) -> tuple[Any, ...]:
    """Return the annotations of a field with a sealed value of at most ``most`` bytes.

    The schema accepts any text; `check_sealed` rejects a value that cannot be ciphertext.
    """

    def read(value: object) -> bytes:
        if not isinstance(value, str):
            raise ValueError("a sealed value, as base64url without padding")
        try:
            data = unb64(value)
        except ValueError:
            return b""  # not base64url: rejected like an empty value
        if len(data) > most:
            raise ValueError(f"a sealed value of at most {most} bytes")
        return data

    schema = {"type": "string", "contentEncoding": "base64url", "maxLength": (most * 8 + 5) // 6}
    return PlainValidator(read), WithJsonSchema(schema)


SealedKey = Annotated[bytes, *sealed_value(KEY_WRAP_BYTES)]


class NotSealed(Unprocessable):
    """A value cannot be a sealed value, so it was not stored. Seal it on the client first."""

    slug = "not-sealed"


def not_sealed_error(parts: Mapping[str, bytes]) -> NotSealed | None:
    """Return the error for those values, by pointer, that cannot be sealed values; or None."""
    errors = [
        FieldError(at, "must be a sealed value")
        for at, data in parts.items()
        if not is_sealed(data)
    ]
    return NotSealed(errors=errors) if errors else None


def check_sealed(parts: Mapping[str, bytes]) -> None:
    """Check that the values, by pointer, can be sealed values.

    :raises NotSealed: with a field error for each value that cannot be a sealed value.
    """
    error = not_sealed_error(parts)
    if error is not None:
        raise error


class In(BaseModel):
    """A request body: unknown fields are rejected, and no value is converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True
    )


class Query(BaseModel):
    """A query string. Integers and booleans are parsed from text, in one form each."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True
    )

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, values: Any) -> Any:
        return {name: _from_text(_kinds(cls, name), value) for name, value in values.items()}


@cache
def _kinds(model: type[BaseModel], name: str) -> frozenset[Any]:
    """Return the types that a field accepts, without their wrappers."""
    if name not in model.model_fields:
        return frozenset()
    annotation = model.model_fields[name].annotation
    return frozenset(
        getattr(part, "__origin__", part) for part in (annotation, *get_args(annotation))
    )


def _from_text(kinds: frozenset[Any], text: Any) -> Any:
    """Parse an integer or boolean; replace malformed text by a value that no field accepts."""
    if not isinstance(text, str):
        return text
    if int in kinds:
        number = int(text) if _WHOLE.fullmatch(text) else -1
        return number if 0 <= number <= MAX_INTEGER else ...
    if bool in kinds:
        return {"true": True, "false": False}.get(text, ...)
    return ... if _UNWANTED.search(text) else text


class Out(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Page(Query):
    """A page of a list: `cursor` is the `next_cursor` of the previous page."""

    cursor: str | None = Field(default=None, max_length=512)
    limit: int = Field(default=LIST_LIMIT_DEFAULT, ge=1, le=LIST_LIMIT_MOST)
