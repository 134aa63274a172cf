"""How a process without a port shows that it works: a file in VAULTR_HOME, touched often."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

NAME: Final = "worker.alive"
DEAD_SECONDS: Final = 60.0  # a file that nobody touched for so long was left by a dead process


def touch(home: Path) -> None:
    """Show that this process works; nothing is raised where the file cannot be written."""
    with contextlib.suppress(OSError):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(home / NAME, os.O_WRONLY | os.O_CREAT, 0o600))
        os.utime(home / NAME)


def remove(home: Path) -> None:
    """Show nothing any more, because the process ends."""
    with contextlib.suppress(OSError):
        (home / NAME).unlink()


def age_seconds(home: Path) -> float | None:
    """Tell how long ago the file was touched, or None if there is none."""
    try:
        return time.time() - (home / NAME).stat().st_mtime
    except OSError:
        return None
