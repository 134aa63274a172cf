"""Migrated SQLite databases; only the first one in a process runs the migrations."""

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
    """Write the database into the folder of a development server."""
    shutil.copyfile(_migrated(), home / NAME)


@functools.cache
def _migrated():
    folder = tempfile.TemporaryDirectory(prefix="vaultr-migrated-")
    atexit.register(folder.cleanup)
    environ = {"PATH": os.environ["PATH"], "VAULTR_HOME": folder.name, "HOME": folder.name}
    upgrade = [sys.executable, "-m", "flask", "db", "upgrade"]
    subprocess.run(upgrade, check=True, cwd=ROOT, env=environ, capture_output=True)
    return Path(folder.name) / NAME
