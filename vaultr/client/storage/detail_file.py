"""The sealed details of one vault, one after another in one file that only grows.

A list of items never reads them, and writing one item does not rewrite the others. Where each lies
is said by the vault's signed file; what lies there proves itself by the item's content hash.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from vaultr.client.storage.private_folder import Folder, FolderUnusable, sync_folder


def append(folder: Folder, name: str, details: Sequence[bytes]) -> list[int]:
    """Put ``details`` at the end of the file ``name`` and wait until the disk has them.

    :return: where each begins.
    :raises FolderUnusable: they could not be written; the file is as long as before.
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
    """Read ``length`` bytes; None when the file is not there or too short."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.pread(descriptor, length, at)
    finally:
        os.close(descriptor)
    return found if len(found) == length else None


def size(place: Path) -> int:
    """Tell how long the file is; 0 when there is none."""
    try:
        return place.stat().st_size
    except FileNotFoundError:
        return 0
