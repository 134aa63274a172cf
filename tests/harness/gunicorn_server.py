"""A server under gunicorn with its own home folder; accepts raw bytes too."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.harness import app_fixtures, forked_programs, migrated_database
from tests.harness.servers import free_port

ROOT = Path(__file__).parents[2]
SERVER = [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.py", "wsgi:app"]
PATIENCE_SECONDS = 180


def _start(command, **more):
    return subprocess.Popen(command, start_new_session=True, **more)


class Running:
    """One server, on SQLite unless ``more`` names another database.

    :param within: prefix of the command line, for a limit on all processes.
    :param forks: whether to start it by a fork; not if a test checks its start, memory or
        descriptors.
    """

    def __init__(self, home, *, within=(), forks=True, **more):
        self._command = [*within, *SERVER]
        self._start = forked_programs.start if forks else _start
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._out = home / "server.out"
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            **app_fixtures.environ_for(
                home, PORT=str(self.port), DRAIN_SECONDS="0", BASE_URL=self.url
            ),
            "LOG_LEVEL": "INFO",
            **more,
        }

    def command(self, *arguments):
        """Run a ``flask`` command to its end."""
        return forked_programs.run(
            [sys.executable, "-m", "flask", *arguments], cwd=ROOT, env=self.environ
        )

    def start(self):
        with self._out.open("ab") as out:
            self.process = self._start(
                self._command, cwd=ROOT, env=self.environ, stdout=out, stderr=out
            )
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(self.printed())
            time.sleep(0.05)
        return self

    def stop(self):
        """Stop it gracefully, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def printed(self):
        return self._out.read_text()

    def logged(self, event):
        """List the log lines about ``event``."""
        lines = [json.loads(one) for one in self.printed().splitlines() if one.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def answers(self):
        with contextlib.suppress(OSError):
            return self.get("/api/health")[0] == 200
        return False

    def get(self, path, timeout=60):
        """Return status, body and headers of a response."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers

    def raw(self, data, *, finish=True):
        """Send ``data`` unchanged, end sending, and return the response."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(data)
            if finish:
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    answer += part
        return answer


@contextlib.contextmanager
def running(home, *, within=(), forks=True, **more):
    """Yield a running server on a migrated database; it ends with the test."""
    server = Running(home, within=within, forks=forks, **more)
    if "DATABASE_URL" in more:
        upgraded = server.command("db", "upgrade")
        assert upgraded.returncode == 0, upgraded.stderr
    else:
        migrated_database.write_to(home)
    server.start()
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()
