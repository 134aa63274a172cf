"""Reject values that cannot be ciphertext, so that no feature stores plaintext by accident."""

from collections.abc import Mapping

from vaultr.errors import FieldError, Unprocessable
from vaultr.protocol.sealed import is_sealed


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
