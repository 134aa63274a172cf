"""Reads with a machine's token, reads from the gateway, and whole exports, as jobs do them."""

import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from bench import load
from bench.client_tools import MEASURED, PROGRAM, ClientTools, seconds
from bench.installation import Installation, worker_mebibytes
from bench.load import Connection, request
from tests.harness.servers import free_port
from vaultr.client.gateway.callers import add_caller
from vaultr.client.vaultr_client import Vaultr
from vaultr.client.vaults.write_intents import Put

VARIABLES = 50
ITEMS = 20
READS = 30
CONNECTIONS = 8
EXPORTED, CONTENTS = 10_000, 6  # each item with five versions
ITEMS_A_BATCH = 160
SAMPLE_SECONDS = 0.1
# A bare view on the gateway's WSGI server, with the same number of threads.
BARE = """
import json, sys
from cheroot.wsgi import Server
def view(environ, start_response):
    body = json.dumps({"value": "x" * 20}).encode()
    length = str(len(body))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", length)])
    return [body]
Server(("127.0.0.1", int(sys.argv[1])), view, numthreads=8).safe_start()
"""


class MachineTools:
    """Client cases about machines, with one owner and one machine."""

    def __init__(
        self, installation: Installation, tools: ClientTools, bare_read: bytes, load_seconds: float
    ) -> None:
        self._installation, self._tools = installation, tools
        self._bare_read, self._load_seconds = bare_read, load_seconds
        self._folder = tempfile.TemporaryDirectory()
        self._made = ""
        self._is_filled = False
        self.worker_mebibytes = 0.0

    def warm(self) -> float:
        """Compare reading a set (one 304, then opened) with the baseline's read plus opening."""
        with Vaultr.for_machine(self._url, self._token, home=self._home("warm")) as machine:
            read = _typical(lambda: machine.item("set", vault="jobs", reveal=True))
            opening = _typical(lambda: machine.item("set", vault="jobs", reveal=True, offline=True))
        return read / (self._baseline() + opening)

    def cold(self) -> float:
        """Compare reading 20 items without a copy with the baseline's read plus opening them."""

        def read() -> None:
            with Vaultr.for_machine(self._url, self._token) as machine:
                list(machine.each_revealed(vault="jobs"))

        whole = _typical(read)
        with Vaultr.for_machine(self._url, self._token) as machine:
            list(machine.each_revealed(vault="jobs"))
            opening = _typical(lambda: list(machine.each_revealed(vault="jobs", offline=True)))
        return whole / (self._baseline() + opening)

    def gateway(self) -> float:
        """Compare a value from the gateway with a bare view on the same WSGI server."""
        callers = Path(self._folder.name) / "callers.json"
        callers.unlink(missing_ok=True)
        caller = add_caller(callers, "bench", ["vaultr://jobs/*"])
        port = free_port()
        words = ("gateway", "--listen", f"127.0.0.1:{port}", "--callers", str(callers))
        own = {
            "VAULTR_URL": self._url,
            "VAULTR_TOKEN": self._token,
            "VAULTR_DIR": str(self._home("gateway")),
        }
        path = "/v1/secret?key=jobs/set&property=V0"
        request_bytes = request("GET", path, {"Authorization": f"Bearer {caller}"})
        with _served((*PROGRAM, *words), port, own):
            ours = self._rate(port, request_bytes)
        port = free_port()
        with _served((sys.executable, "-c", BARE, str(port)), port, {}):
            return ours / self._rate(port, request_bytes)

    def export_mebibytes(self) -> float:
        """Return the memory of the command that stores an archive of 10,000 items.

        Also store the maximum memory of a worker during that time.
        """
        if not self._is_filled:
            self._fill()
            self._is_filled = True
        file = Path(self._folder.name) / "archive"
        file.unlink(missing_ok=True)
        ended = threading.Event()
        sampling = threading.Thread(target=self._sample, args=(ended,))
        sampling.start()
        try:
            through = (sys.executable, "-c", MEASURED)
            done = self._tools.run("export", "--all", "--out", str(file), through=through)
        finally:
            ended.set()
            sampling.join()
        return int(done.splitlines()[-1]) / 1024

    @property
    def _url(self) -> str:
        return self._installation.site.url

    @property
    def _token(self) -> str:
        """The token of the machine. The first case creates the machine with its vault."""
        if not self._made:
            with self._tools.device() as owner:
                owner.create_vault("jobs")
                variables = {f"V{number}": f"value {number}" for number in range(VARIABLES)}
                owner.add("env_set", {"title": "set"}, {"variables": variables}, vault="jobs")
                for number in range(ITEMS - 1):
                    overview = {"title": f"Login {number}"}
                    owner.add("login", overview, {"password": "hunter2"}, vault="jobs")
                owner.step_up(self._tools.password)
                later = datetime.now(UTC) + timedelta(days=30)
                self._made = owner.add_machine("job", {"jobs": "read"}, expires_at=later)[1]
        return self._made

    def _home(self, name: str) -> Path:
        return Path(self._folder.name) / name

    def _baseline(self) -> float:
        connection = Connection(self._installation.baseline_port)
        try:
            return _typical(lambda: connection.ask(self._bare_read))
        finally:
            connection.close()

    def _rate(self, port: int, request_bytes: bytes) -> float:
        seen = load.run(port, [[request_bytes]] * CONNECTIONS, seconds=self._load_seconds)
        if set(seen.statuses) != {200}:
            raise RuntimeError(f"port {port} answered {seen.statuses}")
        return seen.rate(200)

    def _fill(self) -> None:
        """Add the items to export, each with its earlier contents in the same write."""
        with self._tools.device() as owner:
            vault = owner.create_vault("versions")
            writer = owner.device.require_unlocked().editor._writer
            for _ in range(0, EXPORTED, ITEMS_A_BATCH):
                puts = [
                    Put(item, "login", {"title": str(item)}, {"password": f"{number}"})
                    for item in [uuid4() for _ in range(ITEMS_A_BATCH)]
                    for number in range(CONTENTS)
                ]
                writer.write(vault.id, puts)

    def _sample(self, ended: threading.Event) -> None:
        while not ended.wait(SAMPLE_SECONDS):
            self.worker_mebibytes = max(
                self.worker_mebibytes, worker_mebibytes(self._installation.site)
            )


def _typical(run: Callable[[], object]) -> float:
    """Return the median of several calls in seconds, after one warm-up call."""
    run()
    return statistics.median(seconds(run) for _ in range(READS))


@contextlib.contextmanager
def _served(command: tuple[str, ...], port: int, own: Mapping[str, str]) -> Iterator[None]:
    """Run a program until it responds on ``port``, and end it afterwards."""
    environ = {"PATH": os.environ["PATH"], **own}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(60)
