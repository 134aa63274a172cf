"""The server of `make run`: gunicorn, SQLite, emails as files."""

import os
import re
import sys
import time
import urllib.request
from pathlib import Path

from tests.harness import forked_programs, migrated_database
from tests.harness.servers import free_port

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 180


def is_ready(url, *, timeout):
    """Return whether the server at ``url`` is ready, and says so within ``timeout`` seconds."""
    try:
        with urllib.request.urlopen(f"{url}/api/ready", timeout=timeout) as response:
            return response.status == 200
    except OSError:
        return False


class Site:
    """A server with its own home folder."""

    def __init__(self, home):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._mails = home / "mail"
        self._log = home / "server.log"
        self.database = home / "vaultr.sqlite3"
        self._environ = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "VAULTR_HOME": str(home),
            "PORT": str(port),
            "DRAIN_SECONDS": "0",
            # One device runs hundreds of commands here within a minute or two.
            "LIMIT_LOGIN_ACCOUNT": "1000/900",
            "LIMIT_LOGIN_ADDRESS": "1000/900",
            "LIMIT_REFRESH": "1000/60",
            "LIMIT_WRITES": "10000/60",
            "LIMIT_HASHES": "1000/60",
            "PARALLEL_REQUESTS": "1000",
        }

    def __enter__(self):
        if not self.database.exists():  # a restarted server keeps its data
            migrated_database.write_to(self.database.parent)
        serve = [BIN / "gunicorn", "-c", "config/gunicorn.py", "wsgi:app"]
        with self._log.open("wb") as log:
            self._process = forked_programs.start(
                serve, cwd=ROOT, env=self._environ, stdout=log, stderr=log
            )
        self.wait_until_ready()
        return self

    def __exit__(self, *error):
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)

    def wait_until_ready(self):
        """Wait until the server is ready, after its start or an overload."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not is_ready(self.url, timeout=2):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < until, self._log.read_text()
            time.sleep(0.1)

    def token(self, of=""):
        """Wait for the first email, to ``of`` if set, and return the token in it."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            for mail in sorted(self._mails.glob("*.eml")):
                text = mail.read_text().replace("=\n", "").replace("=3D", "=")
                found = re.search(r"^\S+/verify-email\?token=(\S+)$", text, re.MULTILINE)
                if found and of in text:
                    return found[1]
            time.sleep(0.1)
        raise AssertionError(self._log.read_text())
