"""Wraps of cached vaults under a new account key: they stand in for those in the cache.

The cache of a vault may be large, and a new account key changes nothing of it but the wraps. So
these lie in one small file, which is replaced together with the account's.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from vaultr.client.storage.private_folder import Folder
from vaultr.protocol.encoding import b64, unb64

FILE: Final = "wraps.json"

# By vault, then by generation.
Wraps = Mapping[UUID, Mapping[int, bytes]]


def to_json(wraps: Wraps) -> dict[str, Any]:
    """Write wraps with plain types."""
    return {
        str(vault_id): [[generation, b64(sealed)] for generation, sealed in each.items()]
        for vault_id, each in wraps.items()
    }


def from_json(value: Mapping[str, Any]) -> dict[UUID, dict[int, bytes]]:
    """Read what :func:`to_json` wrote.

    :raises ValueError: it is something else.
    """
    return {
        UUID(vault_id): {int(generation): unb64(sealed) for generation, sealed in each}
        for vault_id, each in value.items()
    }


def encode(wraps: Wraps) -> bytes:
    """Write wraps as their file holds them, before it is signed."""
    return json.dumps(to_json(wraps), separators=(",", ":")).encode()


def read(folder: Folder) -> dict[UUID, dict[int, bytes]]:
    """Read the wraps of this folder; none when the account key was never replaced.

    :raises FileAltered: the file is torn or altered.
    """
    value = folder.read_json(FILE)
    try:
        return {} if value is None else from_json(value)
    except (TypeError, ValueError):
        raise folder.altered(FILE) from None


def forget(folder: Folder, vault_id: UUID) -> None:
    """Forget the wraps of one vault, whose state on the server was accepted by hand."""
    kept = read(folder)
    if kept.pop(vault_id, None) is not None:
        folder.write_signed(FILE, encode(kept))
