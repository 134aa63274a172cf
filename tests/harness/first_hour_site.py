"""A server under gunicorn with emails, and two users with their own home folders."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.harness import forked_programs
from tests.harness.runtime_folder import RuntimeFolder
from tests.harness.servers import free_port
from vaultr.settings.loader import generate_keys

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class Site:
    """One Vaultr: two gunicorn workers on PostgreSQL and Redis, emails as files."""

    program = "wsgi:app"
    within: tuple[str, ...] = ()  # prefix of the command, for a limit on all processes

    def __init__(self, home: Path, database_url: str, redis_url: str, **more: str):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.home = home
        self.log = home / "server.log"
        self.environ = {
            "PATH": os.environ["PATH"],
            "VAULTR_ENV": "development",
            "VAULTR_HOME": str(home),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "WEB_CONCURRENCY": "2",
            "PORT": str(self.port),
            "DRAIN_SECONDS": "0",
            "LOG_LEVEL": "DEBUG",
            "PARALLEL_REQUESTS": "1000",  # all clients have one address
            **generate_keys("first"),
            **more,
        }
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    def upgrade(self) -> None:
        subprocess.run(
            [BIN / "flask", "db", "upgrade"],
            check=True, cwd=ROOT, env=self.environ, capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.within, BIN / "gunicorn", "-c", "config/gunicorn.py", self.program],
                cwd=ROOT, env=self.environ, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/api/ready", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.1)

    def stop(self) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(40)
        finally:
            if self._process.poll() is None:
                self._process.kill()
            self._process = None

    def mail(self, number: int = 0) -> str:
        """Wait for the email with this number, and return its text."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            mails = sorted((self.home / "mail").glob("*.eml"))
            if len(mails) > number:
                return mails[number].read_text()
            time.sleep(0.1)
        raise AssertionError("no mail came")


def token_of(mail: str) -> str:
    """Return the token of the link that is on its own line."""
    text = mail.replace("=\n", "").replace("=3D", "=")
    found = re.search(r"^https?://\S+/verify-email\?token=([A-Za-z0-9_-]+)\s*$", text, re.M)
    assert found, "the mail has no link on its own line"
    return found[1]


class Person:
    """A user at a device: what they type, and what they see."""

    def __init__(self, home: Path, site: Site, email: str, password: str, transcript=None):
        self.home = home
        self._transcript = transcript
        self.email = email
        self._password = password
        self._site = site
        self.runtime = RuntimeFolder()
        self.environ = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": self.runtime.path,
            "VAULTR_DIR": str(home / "vaultr"),
            "VAULTR_URL": site.url,
        }
        home.mkdir(mode=0o700, exist_ok=True)

    def types(self, *words, stdin=None, secret_key=None, code=0, password=True):
        """Run ``vaultr`` with ``words``; pass secrets through descriptors, never as words."""
        fds, extra = [], []
        if password:
            fds.append(pipe(self._password))
            extra += ["--password-fd", str(fds[-1])]
        if secret_key is not None:
            fds.append(pipe(secret_key))
            extra += ["--secret-key-fd", str(fds[-1])]
        try:
            command = [BIN / "vaultr", words[0], *extra, *words[1:]]
            done = forked_programs.run(
                command, stdin=stdin or "", env=self.environ, pass_fds=fds, timeout=180
            )
        finally:
            for fd in fds:
                os.close(fd)
        assert done.returncode == code, (words, done.returncode, done.stdout[-800:], done.stderr)
        return done

    def shows(self, *words, typed=None, **more):
        """Run ``vaultr``, and record input and output."""
        done = self.types(*words, **more)
        self._transcript.add_command(words, done, typed=typed)
        return done.stdout

    def run_json(self, *words, **more):
        """Run ``vaultr`` and parse its JSON output."""
        return json.loads(self.types(*words, "--json", **more).stdout)


def pipe(secret: str) -> int:
    """Return a descriptor from which ``secret`` can be read, once."""
    read, write = os.pipe()
    os.write(write, secret.encode() + b"\n")
    os.close(write)
    return read
