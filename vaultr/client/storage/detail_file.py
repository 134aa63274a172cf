"""The sealed details of one vault, in one file to which new details are appended.

Listing items does not read it, and writing one item does not rewrite the others. The vault's signed
file stores the position of each detail; the item's content hash verifies the detail.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from vaultr.client.storage.private_folder import Folder, FolderUnusable, sync_folder


def append(folder: Folder, name: str, details: Sequence[bytes]) -> list[int]:
    """Append ``details`` to the file ``name`` and flush them to disk.

    :return: the position of each.
    :raises FolderUnusable: writing failed; the file has its old length.
    """
    if not details:
        return []
    place = folder.path / name
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    with folder.locked():
        try:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            is_new = not place.exists()
            descriptor = os.open(place, flags, 0o600)
            try:
                begins = _write(descriptor, details)
            finally:
                os.close(descriptor)
            if is_new:
                sync_folder(place.parent)
        except OSError as error:
            raise FolderUnusable(f"{place}: {error.strerror}") from error
    return begins


def _write(descriptor: int, details: Sequence[bytes]) -> list[int]:
    end = os.fstat(descriptor).st_size
    begins, at = [], end
    for detail in details:
        begins.append(at)
        at += len(detail)
    left = memoryview(b"".join(details))
    try:
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise
    return begins


def read(place: Path, at: int, length: int) -> bytes | None:
    """Return ``length`` bytes; None if the file is missing or too short."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.pread(descriptor, length, at)
    finally:
        os.close(descriptor)
    return data if len(data) == length else None


def size(place: Path) -> int:
    """Return the length of the file; 0 if it does not exist."""
    try:
        return place.stat().st_size
    except FileNotFoundError:
        return 0
