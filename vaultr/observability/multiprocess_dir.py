"""The folder where the processes of one server store their metrics.

It is in memory (/dev/shm) or, if that is not writable, under VAULTR_HOME, and is removed when the
server ends. prometheus_client reads its path when imported, so call `create` first.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vaultr.settings.model import Settings

MEMORY: Final = Path("/dev/shm")  # nosec B108 - a private folder (0700) is created there
PREFIX: Final = "vaultr-metrics-"
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_LOCK: Final = "lock"
_ALIVE: Final = "alive"

_folder: Path | None = None
_alive: int | None = None


def create(settings: Settings) -> None:
    """Create the folder, if METRICS_PORT is set; a failure is ignored.

    Folders of servers that were killed are removed.
    """
    global _folder, _alive
    if not settings.metrics_port or _folder is not None:
        return
    for parent in (MEMORY, settings.vaultr_home):
        with contextlib.suppress(OSError):
            remove_stale(parent)
            _folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            # Every process of this server inherits this lock, and holds it while it runs. The file
            # gets its final name only when it is locked: another server that finds it unlocked
            # removes the folder as stale.
            _alive = os.open(_folder / f".{_ALIVE}", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(_alive, fcntl.LOCK_EX)
            os.rename(_folder / f".{_ALIVE}", _folder / _ALIVE)
            os.environ[_VARIABLE] = str(_folder)
            return


def remove_stale(parent: Path) -> None:
    """Remove this user's folders in ``parent`` whose server has ended."""
    for found in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if found.stat().st_uid != os.geteuid():
                continue
            descriptor = os.open(found / _ALIVE, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found)
            finally:
                os.close(descriptor)


def folder() -> Path | None:
    """Return the folder, or None if there is a single process."""
    return _folder


def remove() -> None:
    """Remove the folder, because the server ends."""
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)


@contextlib.contextmanager
def lock(where: Path, *, to_change: bool) -> Iterator[None]:
    """Lock all files for readers, while a process merges some of them."""
    descriptor = os.open(where / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if to_change else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
