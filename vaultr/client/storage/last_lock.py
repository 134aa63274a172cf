"""When this device was last locked by hand: whatever holds a key for long looks at it."""

import contextlib
from typing import Final

from vaultr.client.storage.private_folder import Folder, FolderUnusable

_FILE: Final = "locked"


def note(folder: Folder) -> None:
    """Note that all keys of this device are to be forgotten now."""
    if folder.path.exists():
        with contextlib.suppress(FolderUnusable):
            folder.write(_FILE, b"")


def moment(folder: Folder) -> str | None:
    """Name the last moment at which it was noted; None before the first."""
    try:
        seen = (folder.path / _FILE).stat()
    except OSError:
        return None
    return f"{seen.st_ino} {seen.st_mtime_ns}"
