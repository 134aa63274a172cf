"""Imports, password health and small tools of the client, each compared with a simpler program."""

import contextlib
import io
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.installation import Installation
from tests.harness.first_hour_site import token_of
from vaultr.client.crypto import primitives
from vaultr.client.imports import formats
from vaultr.client.imports.reading import ImportFile
from vaultr.client.integrations import ssh_agent
from vaultr.client.integrations.ssh_agent import Identity, SshAgent
from vaultr.client.items.schemas import Draft
from vaultr.client.password_health.findings import Limits, findings
from vaultr.client.vaultr_client import Vaultr

ENTRIES = 10_000
EMAIL, PASSWORD = "tools@example.org", "a master password for the bench"
SIGNATURES = 20
STARTS = 5
PROGRAM = (
    sys.executable,
    "-c",
    "import sys; from vaultr.client.cli import main; sys.exit(main())",
)
# Runs a command, then prints its maximum memory in KiB.
MEASURED = (
    "import resource, subprocess, sys;"
    "code = subprocess.run(sys.argv[1:], close_fds=False).returncode;"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)
# Prints the ratio of reading the first file to json.loads of the second, each the best of 3.
PARSING = """
import json, sys, time
from vaultr.client.imports import formats, onepassword
from vaultr.client.imports.reading import ImportFile
data, document = (open(path, "rb").read() for path in sys.argv[1:])
def best(run):
    times = []
    for _ in range(3):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)
loading = best(lambda: json.loads(document))
print(best(lambda: formats.recognise(data).read(ImportFile(data))) / loading)
"""


class ClientTools:
    """Client cases. The owner signs up when the first case runs."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._folder = tempfile.TemporaryDirectory()
        self._owner: Vaultr | None = None
        self._full = False
        self.import_mebibytes = 0.0
        self.password = PASSWORD

    def parse(self) -> float:
        """Compare reading 10,000 entries of 1PUX with ``json.loads`` of the same file.

        This runs in a separate process, as the command does: the bench has more objects in memory,
        so its garbage collector would run less often.
        """
        document = one_pux_document(ENTRIES)
        (json_file := Path(self._folder.name) / "export.data").write_bytes(document)
        (file := Path(self._folder.name) / "export.1pux").write_bytes(one_pux(document))
        command = [sys.executable, "-c", PARSING, file, json_file]
        return float(subprocess.run(command, check=True, capture_output=True).stdout)

    def imports(self) -> float:
        """Compare importing 10,000 entries with adding the same number by the SDK in batches."""
        drafts = _drafts(ENTRIES)
        with self.device() as device:
            for name in ("added", "imported"):
                device.create_vault(name)
            added = seconds(lambda: device.add_many(drafts, vault="added"))
            imported = seconds(lambda: device.import_drafts(drafts, vault="imported"))
            device.step_up(PASSWORD)
            for name in ("added", "imported"):
                device.delete_vault(name, confirm=name)
        return imported / added

    def import_seconds(self) -> float:
        """Return how many seconds the command takes for 10,000 entries; store its memory."""
        file = Path(self._folder.name) / "export.1pux"
        file.write_bytes(one_pux(one_pux_document(ENTRIES)))
        began = time.perf_counter()
        words = ("import", "--new-vault", "by command", str(file))
        done = self.run(*words, through=(sys.executable, "-c", MEASURED))
        taken = time.perf_counter() - began
        with self.device() as device:
            device.sync()
            device.step_up(PASSWORD)
            device.delete_vault("by command", confirm="by command")
        self.import_mebibytes = int(done.splitlines()[-1]) / 1024
        return taken

    def health(self) -> float:
        """Compare the checks of 10,000 items with opening them."""
        with self.device() as device:
            if not self._full:
                device.create_vault("full")
                device.add_many(_drafts(ENTRIES), vault="full")
                self._full = True
            limits = Limits(datetime.now(UTC).date(), timedelta(days=365), timedelta(days=30))
            opening = seconds(lambda: list(device.each_revealed(vault="full", offline=True)))
            return (
                seconds(lambda: findings(device.each_revealed(vault="full", offline=True), limits))
                / opening
            )

    def signatures(self) -> float:
        """Compare ``ssh-keygen -Y sign`` with our agent and with OpenSSH's agent."""
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            key = Path(folder) / "key"
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]
            subprocess.run(command, check=True)
            theirs = stack.enter_context(_openssh_agent(Path(folder) / "theirs.sock", key))
            ours = stack.enter_context(_our_agent(Path(folder) / "ours.sock", key.read_text()))
            key.unlink()  # so that only an agent can sign
            return _signing(ours, key) / _signing(theirs, key)

    def credentials(self) -> float:
        """Compare ``vaultr git-credential get`` with ``vaultr read``, both as processes."""
        with self.device() as device:
            if not any(item.title == "git.example" for item in device.items()):
                overview = {"title": "git.example", "urls": ["https://git.example"]}
                device.add("login", {**overview, "username": "ann"}, {"password": "hunter2"})
        question = "protocol=https\nhost=git.example\n\n"
        requested = self._fastest(lambda: self.run("git-credential", "get", stdin=question))
        reference = "vaultr://Personal/git.example/password"
        return requested / self._fastest(lambda: self.run("read", reference))

    def _fastest(self, run: Callable[[], object]) -> float:
        return min(seconds(run) for _ in range(STARTS))

    @contextlib.contextmanager
    def device(self) -> Iterator[Vaultr]:
        """Open the owner's device; sign up when it is first opened."""
        site = self._installation.site
        device = Vaultr(site.url, home=Path(self._folder.name) / "home", agent=False)
        if self._owner is None:
            number = len(list((site.home / "mail").glob("*.eml")))
            device.signup(EMAIL, PASSWORD)
            device.verify(token_of(site.mail(number)))
            device.login(EMAIL, PASSWORD)
            self._owner = device
        else:
            device.unlock(PASSWORD)
        with device:
            yield device

    def run(self, *words: str, stdin: str = "", through: tuple[str, ...] = ()) -> str:
        """Run a command on the owner's device, and return its output."""
        reading, writing = os.pipe()
        os.write(writing, PASSWORD.encode())
        os.close(writing)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": self._folder.name,
            "VAULTR_DIR": str(Path(self._folder.name) / "home"),
            "VAULTR_AGENT": "off",
        }
        options = ("--password-fd", str(reading))
        try:
            return subprocess.run(
                [*through, *PROGRAM, *words, *options],
                input=stdin, env=environ, pass_fds=[reading], check=True, text=True,
                stdout=subprocess.PIPE,
            ).stdout  # fmt: skip
        finally:
            os.close(reading)


def seconds(run: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def one_pux(document: bytes) -> bytes:
    """Return a 1PUX archive with this ``export.data``."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.attributes", "{}")
        archive.writestr("export.data", document)
    return target.getvalue()


def one_pux_document(entries: int) -> bytes:
    """Return the JSON of a 1PUX file with this many different logins."""
    vault = {"attrs": {"name": "Private"}, "items": [_login(n) for n in range(entries)]}
    account = {"attrs": {"accountName": "Ann"}, "vaults": [vault]}
    return json.dumps({"accounts": [account]}).encode()


def _login(number: int) -> dict:
    url = f"https://{secrets.token_hex(6)}.example/login"
    fields = [
        {"title": "code", "id": f"TOTP_{number}", "value": {"totp": "JBSWY3DPEHPK3PXP"}},
        {"title": "pin", "id": "pin", "value": {"concealed": secrets.token_hex(3)}},
    ]
    return {
        "uuid": secrets.token_hex(13),
        "favIndex": number % 2,
        "createdAt": 1_600_000_000,
        "updatedAt": 1_700_000_000,
        "state": "active",
        "categoryUuid": "001",
        "details": {
            "loginFields": [
                {"value": f"ann{number}", "name": "user", "designation": "username"},
                {"value": secrets.token_urlsafe(15), "name": "pw", "designation": "password"},
            ],
            "notesPlain": secrets.token_urlsafe(60),
            "sections": [{"title": "More", "name": "s1", "fields": fields}],
            "passwordHistory": [{"value": secrets.token_urlsafe(9), "time": 1_650_000_000}],
        },
        "overview": {"title": f"Login {number}", "url": url, "urls": [{"url": url}], "tags": ["a"]},
    }


def _drafts(entries: int) -> list[Draft]:
    data = one_pux(one_pux_document(entries))
    return formats.recognise(data).read(ImportFile(data)).drafts


@contextlib.contextmanager
def _openssh_agent(path: Path, key: Path) -> Iterator[Path]:
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.01)
        environ = {**os.environ, "SSH_AUTH_SOCK": str(path)}
        subprocess.run(["ssh-add", "-q", key], env=environ, check=True)
        yield path
    finally:
        agent.terminate()
        agent.wait()


@contextlib.contextmanager
def _our_agent(path: Path, private: str) -> Iterator[Path]:
    stop = threading.Event()
    agent = SshAgent([Identity(primitives.ssh_key(private, None), "bench")])
    with ssh_agent.listening(path) as listener:
        thread = threading.Thread(target=ssh_agent.serve, args=(agent, listener, stop))
        thread.start()
        try:
            yield path
        finally:
            stop.set()
            thread.join()


def _signing(socket: Path, key: Path) -> float:
    environ = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
    keygen = shutil.which("ssh-keygen") or "ssh-keygen"
    command = [keygen, "-Y", "sign", "-q", "-f", f"{key}.pub", "-n", "file"]

    def sign() -> None:
        for _ in range(SIGNATURES):
            subprocess.run(command, env=environ, input=b"x", stdout=subprocess.DEVNULL, check=True)

    return seconds(sign)
