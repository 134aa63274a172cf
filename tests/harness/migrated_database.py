"""SQLite databases that have all migrations; only the first in a process is migrated."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAME = "vaultr.sqlite3"


def write_to(home):
    """Write the database that a development server finds in its folder."""
    shutil.copyfile(_migrated(), home / NAME)


@functools.cache
def _migrated():
    folder = tempfile.TemporaryDirectory(prefix="vaultr-migrated-")
    atexit.register(folder.cleanup)
    environ = {"PATH": os.environ["PATH"], "VAULTR_HOME": folder.name, "HOME": folder.name}
    upgrade = [sys.executable, "-m", "flask", "db", "upgrade"]
    subprocess.run(upgrade, check=True, cwd=ROOT, env=environ, capture_output=True)
    return Path(folder.name) / NAME
