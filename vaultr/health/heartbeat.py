"""The heartbeat of a process without a port: a file in VAULTR_HOME that it touches regularly."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

NAME: Final = "worker.alive"
DEAD_SECONDS: Final = 60.0  # an older file means that the process is dead


def touch(home: Path) -> None:
    """Touch the file; errors are ignored."""
    with contextlib.suppress(OSError):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(home / NAME, os.O_WRONLY | os.O_CREAT, 0o600))
        os.utime(home / NAME)


def remove(home: Path) -> None:
    """Remove the file when the process ends."""
    with contextlib.suppress(OSError):
        (home / NAME).unlink()


def age_seconds(home: Path) -> float | None:
    """Return the age of the file, or None if it does not exist."""
    try:
        return time.time() - (home / NAME).stat().st_mtime
    except OSError:
        return None
