"""Add to a wheel the files that the server needs and a checkout has outside of the package."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# Paths in a checkout, and their names inside the package.
ADDED = {
    "wsgi.py": "wsgi.py",
    "config/gunicorn.py": "gunicorn_config.py",
    "migrations": "migrations",
}


class BuildWithServer(build_py):
    """Copies these files into the package, except in the image, which has its own copies."""

    def run(self):
        """Build the package, then add the files."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "vaultr"
        for source, target in ADDED.items():
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, package / target, ignore=ignored, dirs_exist_ok=True)
            elif (ROOT / source).exists():
                shutil.copy(ROOT / source, package / target)


setup(cmdclass={"build_py": BuildWithServer})
