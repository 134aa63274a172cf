"""Wraps of cached vaults under a new account key, which replace the wraps in the cache.

A new account key changes only the wraps of a vault, whose file may be large. So they are stored in
one small file, which is written together with the account's file.
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
    """Return wraps with plain types."""
    return {
        str(vault_id): [[generation, b64(sealed)] for generation, sealed in each.items()]
        for vault_id, each in wraps.items()
    }


def from_json(value: Mapping[str, Any]) -> dict[UUID, dict[int, bytes]]:
    """Read the result of :func:`to_json`.

    :raises ValueError: it has another form.
    """
    return {
        UUID(vault_id): {int(generation): unb64(sealed) for generation, sealed in each}
        for vault_id, each in value.items()
    }


def encode(wraps: Wraps) -> bytes:
    """Return wraps in the form of their file, before it is signed."""
    return json.dumps(to_json(wraps), separators=(",", ":")).encode()


def read(folder: Folder) -> dict[UUID, dict[int, bytes]]:
    """Return the wraps in this folder; none if the account key was never replaced.

    :raises FileAltered: the file is damaged or was altered.
    """
    value = folder.read_json(FILE)
    try:
        return {} if value is None else from_json(value)
    except (TypeError, ValueError):
        raise folder.altered(FILE) from None


def forget(folder: Folder, vault_id: UUID) -> None:
    """Delete the wraps of one vault, whose state on the server the owner accepted."""
    kept = read(folder)
    if kept.pop(vault_id, None) is not None:
        folder.write_signed(FILE, encode(kept))
