"""What is sealed, in plain: parts of items and names of vaults as JSON, written and read."""

import json
from collections.abc import Mapping
from typing import Any, Final

from vaultr.client.errors import SealBroken

# Far more than any item has, and far less than the recursion of what shows, merges or writes it.
NESTING_MOST: Final = 64


def encode(part: Mapping[str, Any]) -> bytes:
    """Write an overview or a detail as the JSON that is sealed; the order of names is kept.

    :raises ValueError: NaN, an infinity, or text that is no Unicode (a lone surrogate).
    """
    return json.dumps(part, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def name_bytes(name: str) -> bytes:
    """Write a vault's name as its overview."""
    return encode({"name": name})


def object_in(data: bytes, what: str) -> dict[str, Any]:
    """Read the JSON object that was sealed as ``what``.

    :raises SealBroken: it is none, or is nested too deep to be shown.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SealBroken(f"{what} opens, but holds no JSON object")
    if data.count(b"{") + data.count(b"[") > NESTING_MOST and is_nested_deep(value):
        raise SealBroken(f"{what} opens, but is nested too deep to be shown")
    return value


def is_nested_deep(part: object) -> bool:
    """Tell whether objects and lists stand in each other more than :data:`NESTING_MOST` deep."""
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
