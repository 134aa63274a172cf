"""Fingerprints of server keys, to compare the keys of two places without showing them."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vaultr.ops.keys.files import KeyNotFound, KeyringLocation
from vaultr.security import keyring
from vaultr.settings.model import current_settings
from vaultr.settings.types import CHECKPOINT_KEY, KEY_SETS

_PURPOSE: Final = b"vaultr/server-key-fingerprint/v1\x00"
_BYTES: Final = 10
_GROUP: Final = 4


def fingerprint(name: str, key: bytes) -> str:
    """Return 80 bits of SHA-256 over a setting's name and one of its keys, in groups.

    A key is 32 random bytes, so nobody can guess it from its fingerprint.
    """
    digest = hashlib.sha256(_PURPOSE + name.encode() + b"\x00" + key).digest()[:_BYTES].hex()
    return "-".join(digest[at : at + _GROUP] for at in range(0, len(digest), _GROUP))


def listed(folder: Path | None) -> list[dict[str, str]]:
    """Return name, id and fingerprint of all keys in a folder's files, or of this process's keys.

    This includes CHECKPOINT_KEY if it is set, which is only at the sequencer.
    """
    return [
        {"name": name, "key": key_id, "fingerprint": fingerprint(name, key)}
        for name in (*KEY_SETS, CHECKPOINT_KEY)
        for key_id, key in _keys(name, folder).items()
    ]


def _keys(name: str, folder: Path | None) -> Mapping[str, bytes]:
    if folder is not None:
        try:
            return KeyringLocation.of(name, folder, os.environ).read().by_id
        except KeyNotFound:
            if name == CHECKPOINT_KEY:
                return {}
            raise
    if name == CHECKPOINT_KEY:
        seeds = current_settings().checkpoint_key
        return seeds.by_id if seeds is not None else {}
    ring: keyring.KeyRing = getattr(keyring.current(), keyring.RINGS[name])
    return ring.keys.by_id
