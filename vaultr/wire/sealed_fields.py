"""What cannot be ciphertext is refused, in whichever feature: none stores an accident."""

from collections.abc import Mapping

from vaultr.errors import FieldError, Unprocessable
from vaultr.protocol.sealed import is_sealed


class NotSealed(Unprocessable):
    """This cannot be a sealed value, so it is not stored."""

    slug = "not-sealed"


def refusal_of(parts: Mapping[str, bytes]) -> NotSealed | None:
    """Return the refusal of values that cannot be sealed ones, each given under its pointer."""
    faults = [
        FieldError(at, "no sealed value") for at, data in parts.items() if not is_sealed(data)
    ]
    return NotSealed(errors=faults) if faults else None


def check(parts: Mapping[str, bytes]) -> None:
    """Take only what can be sealed values, each given under its pointer.

    :raises NotSealed: it names every one that cannot be.
    """
    refusal = refusal_of(parts)
    if refusal is not None:
        raise refusal
