"""Private folders on memory-backed storage, for files with secrets that must never reach a disk."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vaultr.client.errors import VaultrError

_PREFIX: Final = "vaultr-editor-"
# A file that the process using the folder has locked. The lock ends with the process.
_IN_USE: Final = ".in-use"
_MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})


@contextlib.contextmanager
def memory_folder() -> Iterator[Path]:
    """Create a folder that only its owner can read; remove it and its content at the end.

    If the process is killed, a later command removes it by :func:`remove_leftovers`.

    :raises VaultrError: this device has no memory-backed storage.
    """
    remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_memory_storage()))  # mode 0700
    unlocked = folder / f"{_IN_USE}.new"
    try:
        with unlocked.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Other commands see the file only from now on, so they never find it unlocked.
            unlocked.rename(folder / _IN_USE)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers() -> None:
    """Remove the folders of killed processes; folders in use are not touched."""
    for place in _places():
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                    _remove_unused(Path(entry.path))


def _remove_unused(folder: Path) -> None:
    # Another user's folder cannot be opened, and a folder in use cannot be locked.
    with contextlib.suppress(OSError):
        if folder.stat().st_uid == os.getuid():
            with (folder / _IN_USE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def _places() -> list[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return [Path("/dev/shm"), *([Path(runtime)] if runtime else [])]  # nosec B108 # mkdtemp makes a private folder in it


def _memory_storage() -> Path:
    """Return a writable folder whose file system is in memory.

    :raises VaultrError: no such folder exists.
    """
    for candidate in _places():
        if _is_in_memory(candidate) and os.access(candidate, os.W_OK | os.X_OK):
            return candidate
    raise VaultrError(
        "--editor needs storage in memory, such as /dev/shm, and this device has none."
        " Use --json, or the options of this command."
    )


def _is_in_memory(folder: Path) -> bool:
    # Source: proc_pid_mountinfo(5). The last mount whose mount point contains the folder counts.
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        resolved = folder.resolve(strict=True)
    except OSError:
        return False
    best = (0, "")
    for line in lines:
        mount, _, system = line.partition(" - ")
        point = Path(mount.split()[4].encode().decode("unicode_escape"))
        if resolved.is_relative_to(point) and len(point.parts) >= best[0]:
            best = (len(point.parts), system.split()[0])
    return best[1] in _MEMORY_FILE_SYSTEMS
