"""When this device was last locked, which long-running processes with a key check."""

import contextlib
from typing import Final

from vaultr.client.storage.private_folder import Folder, FolderUnusable

_FILE: Final = "locked"


def note(folder: Folder) -> None:
    """Record that this device was locked now."""
    if folder.path.exists():
        with contextlib.suppress(FolderUnusable):
            folder.write(_FILE, b"")


def moment(folder: Folder) -> str | None:
    """Return a value that changes with every lock; None before the first."""
    try:
        seen = (folder.path / _FILE).stat()
    except OSError:
        return None
    return f"{seen.st_ino} {seen.st_mtime_ns}"
