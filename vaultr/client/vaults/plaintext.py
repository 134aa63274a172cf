"""The plaintext of sealed values: parts of items and names of vaults, as JSON."""

import json
from collections.abc import Mapping
from typing import Any, Final

from vaultr.client.errors import SealBroken

# More than any item needs, and far below the recursion limit of code that walks it.
NESTING_MOST: Final = 64
# A cycle is found by its depth: to remember each container takes an eighth of the time.
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)


def encode(part: Mapping[str, Any]) -> bytes:
    """Return an overview or a detail as the JSON to seal, in the same order.

    :raises ValueError: NaN, an infinity, or text that is not Unicode (a lone surrogate).
    :raises RecursionError: it contains itself, or is nested deeper than Python recurses.
    """
    return _ENCODER.encode(part).encode()


def name_bytes(name: str) -> bytes:
    """Return a vault's overview, which contains its name."""
    return encode({"name": name})


def object_in(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object that was sealed as ``what``.

    :raises SealBroken: it is not a JSON object, or is nested too deeply to display.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SealBroken(f"{what} can be decrypted, but is not a JSON object.")
    if may_be_nested_deep(data) and is_nested_deep(value):
        raise SealBroken(f"{what} can be decrypted, but is nested too deeply to display.")
    return value


def may_be_nested_deep(data: bytes) -> bool:
    """Check whether JSON has enough brackets for more than :data:`NESTING_MOST` levels."""
    return data.count(b"{") + data.count(b"[") > NESTING_MOST


def is_nested_deep(part: object) -> bool:
    """Check whether objects and lists are nested deeper than :data:`NESTING_MOST`."""
    level = [part]
    for _ in range(NESTING_MOST):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not any(isinstance(each, dict | list) for each in level):
            return False
    return True
