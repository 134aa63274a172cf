"""`flask backup` with a bucket, killed by SIGKILL: the bucket lists whole backups only.

A tunnel to a real S3 server kills the command after it forwarded a number of bytes of requests, or
before it forwards a piece of a response with a certain number.
"""

import contextlib
import os
import shutil
import signal
import socket
import socketserver
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.harness import app_fixtures, backups, buckets, forked_programs
from vaultr.backup import storage, verify
from vaultr.backup.bucket import Bucket
from vaultr.database.base import Fact
from vaultr.database.session import transaction
from vaultr.settings.model import current_settings

pytestmark = pytest.mark.usefixtures("migrated_to_newest")
BUCKET = "vaultr-backups"
ROOT = Path(__file__).parents[2]
PIECE = 65536
# Three parts of an upload, which begins with 8 MiB.
NOISE_BYTES = 6_000_000
STEPS = 16
INSIDE_UPLOAD = 10_000  # of a backup with few rows


class Tunnel(socketserver.ThreadingTCPServer):
    """Forward connections to a port, and kill a process at a limit.

    :ivar sent: how many bytes were forwarded to the server.
    :ivar received: how many pieces of its responses were read.
    """

    daemon_threads = True

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = ("127.0.0.1", port)
        self.sent = self.received = 0
        self._most_sent = self._most_received = self._process = None
        self._lock = threading.Lock()

    def run(self, start, *, sent=None, received=None):
        """Start a process that is killed at a limit, if any; return its exit code."""
        with self._lock:  # no byte is forwarded before the process is known
            self.sent = self.received = 0
            self._most_sent, self._most_received = sent, received
            self._process = start()
        with self._process:
            return self._process.wait(300)

    def request(self, piece):
        """Return what the server gets of a piece of a request."""
        with self._lock:
            before, self.sent = self.sent, self.sent + len(piece)
            if self._most_sent is None or self.sent < self._most_sent:
                return piece
            self._kill()
            return piece[: max(0, self._most_sent - before)]

    def response(self, piece):
        """Return what the process gets of a piece of a response."""
        with self._lock:
            self.received += 1
            if self._most_received is None or self.received < self._most_received:
                return piece
            self._kill()
            return b""

    def _kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


class _Connection(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.target) as target:
            back = threading.Thread(
                target=self._forward, args=(target, self.request, self.server.response)
            )
            back.start()
            self._forward(self.request, target, self.server.request)
            back.join()

    @staticmethod
    def _forward(source, target, counted):
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                target.sendall(counted(piece))
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def tunnel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("buckets")
    (folder / BUCKET).mkdir()
    with buckets.serving(folder) as port, Tunnel(port) as tunnel:
        thread = threading.Thread(target=tunnel.serve_forever)
        thread.start()
        yield tunnel
        tunnel.shutdown()
        thread.join()
    shutil.rmtree(folder)


@pytest.fixture
def killed(app, example, tunnel, tmp_path, set_to, monkeypatch):
    """``killed("create", sent=10)``: run `flask backup create`, and return its exit code."""
    monkeypatch.setenv("PATH", backups.path_with_programs())
    set_to(app, backup_recipient=example.recipient, backup_identity_file=example.identity)
    buckets.use("http://{}:{}".format(*tunnel.target), monkeypatch)
    prefix = tmp_path.name
    with app.app_context():
        url = current_settings().database_url.get_secret_value()
        more = {"DATABASE_URL": url, "BACKUP_LOCATION": f"s3://{BUCKET}/{prefix}"}
        more |= {"BACKUP_RECIPIENT": example.recipient, "PATH": os.environ["PATH"]}
        more |= buckets.environ(f"http://127.0.0.1:{tunnel.server_address[1]}")
        environ = app_fixtures.environ_for(tmp_path, **more)

        def run(*words, **limit):
            command = [str(Path(forked_programs.BIN, "flask")), "backup", *words]
            with (tmp_path / "printed").open("ab") as out:
                return tunnel.run(
                    lambda: forked_programs.start(
                        command, cwd=ROOT, env=environ, stdout=out, stderr=out
                    ),
                    **limit,
                )

        run.bucket = Bucket(BUCKET, prefix)
        run.printed = tmp_path / "printed"
        buckets.wait_until_listed(run.bucket)
        yield run


def limits(tunnel):
    """Return limits for a command that the tunnel has just forwarded: in bytes and in pieces."""
    total = tunnel.sent * 95 // 100  # the next one sends a few bytes more or less
    sent = [{"sent": 1 + total * step // (STEPS - 1)} for step in range(STEPS)]
    return [*sent, *({"received": number} for number in range(1, tunnel.received + 1))]


def assert_killed(codes):
    """Check that all commands but at most the last were killed: pieces may come together."""
    assert set(codes[:-1] or codes) == {-signal.SIGKILL}
    assert codes[-1] in (0, -signal.SIGKILL)


def whole(bucket):
    """Check that each listed backup can be read to its end; return their names."""
    listed = [one.name for one in bucket.list()]
    for name in listed:
        assert verify.inspect(current_settings(), bucket, name)
    return listed


@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.long)])
def test_killed_create_leaves_only_whole_backups_in_bucket(killed, tunnel, pytestconfig, large):
    backups.fill()
    if large:
        with transaction() as session:
            session.add_all(Fact(name=f"n{n}", value=os.urandom(NOISE_BYTES)) for n in range(3))
    chosen = [{"sent": INSIDE_UPLOAD}]
    if pytestconfig.getoption("--long"):
        assert killed("create") == 0, killed.printed.read_text()
        chosen = limits(tunnel)

    before, codes = whole(killed.bucket), []
    for limit in chosen:
        codes.append(killed("create", **limit))

        assert set(before) <= set(whole(killed.bucket))
    assert killed("create") == 0, killed.printed.read_text()

    assert len(whole(killed.bucket)) > len(before)
    assert_killed(codes)


@pytest.mark.long
def test_killed_prune_of_bucket_can_be_repeated(killed, tunnel):
    now = datetime.now(UTC)
    ages = (0, 40, 50, 60)
    names = [storage.new_name(now - timedelta(days=age), sealed=True) for age in ages]
    bucket, prune = killed.bucket, ("prune", "--keep-days", "30", "--keep-monthly", "0")

    def lay():
        for name in names:
            bucket.write(name, lambda target: target.write(b"a backup"))
            bucket.mark_verified(name, {})

    lay()
    assert killed(*prune) == 0, killed.printed.read_text()
    codes = []
    for limit in limits(tunnel):
        lay()
        codes.append(killed(*prune, **limit))

        listed = {one.name: one.verified for one in bucket.list()}
        assert listed[names[0]] is True
        assert listed.keys() <= set(names)
        assert killed(*prune) == 0, killed.printed.read_text()
        assert bucket._sizes().keys() == {names[0], f"{names[0]}{storage.VERIFIED}"}
    assert_killed(codes)
