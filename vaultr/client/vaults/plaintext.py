"""What is sealed, in plain: parts of items and names of vaults as JSON, written and read."""

import json
from collections.abc import Mapping
from typing import Any

from vaultr.client.errors import SealBroken


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

    :raises SealBroken: it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SealBroken(f"{what} opens, but holds no JSON object")
    return value
