"""Build the wheel that users install, from a copy of the sources."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("vaultr", "setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "wsgi.py",
           "config/gunicorn.py", "migrations")  # fmt: skip


def build_wheel(folder):
    """Build the wheel in an empty folder, so that nothing is left in the sources."""
    listing = ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *SOURCES]
    stored = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, stored.decode().split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        folder / "dist",
    ]
    subprocess.run([*build, folder], check=True, capture_output=True, timeout=240)
    [made] = (folder / "dist").glob("*.whl")
    return made
