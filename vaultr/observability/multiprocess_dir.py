"""Where the processes of one server keep their numbers: a folder that each of them can reach.

It lies in memory (/dev/shm) or, where that cannot be written, under VAULTR_HOME, and is gone when
the server ends. prometheus_client looks for its name when it is imported: `keep` comes before.
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

MEMORY: Final = Path("/dev/shm")  # nosec B108 - a folder of its own is made there, 0700
PREFIX: Final = "vaultr-metrics-"
_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_LOCK: Final = "lock"
_ALIVE: Final = "alive"

_folder: Path | None = None
_alive: int | None = None


def keep(settings: Settings) -> None:
    """Make the folder, if there is a port for numbers; nothing is raised where none can be made.

    What servers that were killed have left behind is removed.
    """
    global _folder, _alive
    if not settings.metrics_port or _folder is not None:
        return
    for parent in (MEMORY, settings.vaultr_home):
        with contextlib.suppress(OSError):
            sweep(parent)
            _folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            # Held by every process of this server for as long as it lives, and from the moment
            # that it has its name, or another server that sweeps would take it for left behind.
            _alive = os.open(_folder / f".{_ALIVE}", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(_alive, fcntl.LOCK_EX)
            os.rename(_folder / f".{_ALIVE}", _folder / _ALIVE)
            os.environ[_VARIABLE] = str(_folder)
            return


def sweep(parent: Path) -> None:
    """Remove the folders in ``parent`` that belong to no server that lives, of this user's."""
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
    """Return the folder, or None where one process counts for itself."""
    return _folder


def remove() -> None:
    """Remove the folder, because the server ends."""
    if _folder is not None:
        shutil.rmtree(_folder, ignore_errors=True)


@contextlib.contextmanager
def lock(where: Path, *, to_change: bool) -> Iterator[None]:
    """Keep those who read all files and the one who moves some of them apart."""
    descriptor = os.open(where / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if to_change else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
