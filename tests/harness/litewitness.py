"""The witness `litewitness`, built here from Debian's source package, with its ssh-agent.

Debian's own build (litetlog 0.4.3-3+b3) cannot store any checkpoint. `persistTreeHead` binds the
root as an array of bytes, and `sqlitex.setArg` of Debian's SQLite package takes slices only, so it
panics ("reflect.Value.Bytes of unaddressable byte array") for every client. This build binds the
text that the program expects to read back, and changes nothing else.
"""

import contextlib
import os
import re
import subprocess
import time
from pathlib import Path

from tests.harness import servers
from tests.harness.audit_anchors import START_SECONDS, WITNESS, program
from vaultr.protocol.notes import VerificationKey

FOLDER = Path(".tools/litewitness").absolute()
PACKAGES = [
    "litetlog", "golang-1.24-go", "golang-1.24-src", "golang-github-filosottile-litetlog-dev",
    "golang-github-go-llsqlite-crawshaw-dev", "golang-github-anacrolix-chansync-dev",
    "golang-github-anacrolix-missinggo-dev", "golang-github-anacrolix-sync-dev",
    "golang-github-huandu-xstrings-dev", "golang-sigsum-sigsum-go-dev",
    "golang-golang-x-crypto-dev", "golang-golang-x-mod-dev", "golang-golang-x-net-dev",
    "golang-golang-x-sync-dev", "golang-golang-x-sys-dev", "golang-golang-x-term-dev",
    "golang-golang-x-text-dev",
]  # fmt: skip
PROGRAM, CONTROL = FOLDER / "litewitness", FOLDER / "files/usr/bin/witnessctl"
SOURCES = FOLDER / "files/usr/share/gocode"
STORES = SOURCES / "src/filippo.io/litetlog/internal/witness/witness.go"
ARRAY, TEXT = "nil, newSize, newHash, origin", "nil, newSize, newHash.String(), origin"
# The packages specify no Go version, so the program would use Go 1.21's routing and return 404.
ROUTES = {"GODEBUG": "httpmuxgo121=0"}


def built():
    """Return the program; build it if it is missing."""
    if not PROGRAM.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "-q", "download", *PACKAGES)
        for package in FOLDER.glob("*.deb"):
            _run("dpkg", "-x", package, "files")
        source = STORES.read_text()
        assert source.count(ARRAY) == 1, "Debian's litewitness has changed"
        STORES.write_text(source.replace(ARRAY, TEXT))
        _build()
    return PROGRAM


def _run(*command, **more):
    environ = os.environ | more
    words = [str(each) for each in command]
    done = subprocess.run(words, cwd=FOLDER, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _build():
    root = FOLDER / "files/usr/lib/go-1.24"
    _run(
        root / "bin/go", "build", "-o", PROGRAM, "filippo.io/litetlog/cmd/litewitness",
        GO111MODULE="off", GOPATH=str(SOURCES), GOROOT=str(root), GOFLAGS="", GOTOOLCHAIN="local",
        GOCACHE=str(FOLDER / "cache"), CGO_ENABLED="1", CGO_CFLAGS="-O0 -g0",
    )  # fmt: skip


class Litewitness:
    """A running `litewitness`.

    :ivar key: its verification key.
    """

    def __init__(self, url, key, database):
        self.url = f"witness+{url}"
        self.key = key
        self._database = database

    def add(self, origin, vkey):
        """Add the log, as `flask audit status` asks the witness's operator to do."""
        database = ["-db", self._database, "-origin", origin]
        _run(CONTROL, "add-log", *database)
        _run(CONTROL, "add-key", *database, "-key", vkey)

    def sizes(self):
        """Return the last cosigned size of each tree, as `witnessctl` shows it."""
        listing = [CONTROL, "list-logs", "-db", self._database]
        shown = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        return {
            origin: int(size)
            for origin, size in re.findall(r'"origin":"([^"]+)","size":(\d+)', shown)
        }


@contextlib.contextmanager
def running(home):
    """Run `litewitness` with its own key in an ssh-agent, until the block ends."""
    built_program, port = built(), servers.free_port()
    socket, key, log = home / "agent", home / "key", home / "litewitness.log"
    url = f"http://127.0.0.1:{port}"
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        _wait(socket.exists)
        _run("ssh-add", "-q", key, SSH_AUTH_SOCK=str(socket))
        shown = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True)
        command = [
            built_program, "-name", WITNESS, "-db", home / "witness.db", "-ssh-agent",
            socket, "-key", shown.stdout.split()[1], "-listen", f"127.0.0.1:{port}",
        ]  # fmt: skip
        with log.open("wb") as out, program(command, url, stderr=out, env=os.environ | ROUTES):
            found = re.search(r"vkey=(\S+)", log.read_text())
            yield Litewitness(url, VerificationKey.parse(found[1]), home / "witness.db")
    finally:
        agent.terminate()
        agent.wait(30)


def _wait(condition):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "ssh-agent does not start"
        time.sleep(0.05)
