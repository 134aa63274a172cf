"""Reject values that cannot be ciphertext, so that no feature stores plaintext by accident."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from vaultr.errors import FieldError, Unprocessable
from vaultr.protocol.encoding import unb64
from vaultr.protocol.sealed import is_sealed
from vaultr.protocol.sizes import KEY_WRAP_BYTES


def sealed_value(most: int) -> tuple[Any, ...]:
    """Return the annotations of a field with a sealed value of at most ``most`` bytes.

    The schema accepts any text; `check` rejects what cannot be a ciphertext.
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
    """Return the error for values that cannot be sealed, by pointer, or None."""
    errors = [
        FieldError(at, "must be a sealed value")
        for at, data in parts.items()
        if not is_sealed(data)
    ]
    return NotSealed(errors=errors) if errors else None


def check(parts: Mapping[str, bytes]) -> None:
    """Check that all values can be sealed values, by pointer.

    :raises NotSealed: with a field error for each value that cannot be.
    """
    error = not_sealed_error(parts)
    if error is not None:
        raise error
