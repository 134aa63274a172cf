"""The SSH agent with OpenSSH's own programs, and with malformed clients."""

import getpass
import os
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from vaultr.client.crypto import primitives
from vaultr.client.errors import VaultrError
from vaultr.client.integrations import ssh_agent
from vaultr.client.integrations.ssh_agent import Identity, SocketInUse, SshAgent

FAILURE = b"\x05"
KINDS = {"ed25519": [], "rsa": ["-b", "2048"], "ecdsa": ["-b", "384"]}


def program(name):
    found = shutil.which(name)
    assert found, f"{name} is missing: install Debian's openssh-client (make tools)"
    return found


def text(data):
    return struct.pack(">I", len(data)) + data


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    made = {}
    for kind, options in KINDS.items():
        path = folder / kind
        command = [program("ssh-keygen"), "-q", "-t", kind, *options, "-N", "", "-f", path]
        subprocess.run(command, check=True, timeout=60)
        made[kind] = (path.read_text(), (folder / f"{kind}.pub").read_text())
    return made


@pytest.fixture
def serve(tmp_path, keys):
    """Serve keys on a socket; return a function that runs ssh programs and returns their output."""
    stop = threading.Event()
    threads = []

    def start(**options):
        identities = [Identity(primitives.ssh_key(private, None), kind)
                      for kind, (private, _) in keys.items()]  # fmt: skip
        agent, path = SshAgent(identities, **options), tmp_path / "agent.sock"

        def run():
            with ssh_agent.listening(path) as listener:
                ready.set()
                ssh_agent.serve(agent, listener, stop)

        ready = threading.Event()
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        assert ready.wait(30)
        return path

    yield start
    stop.set()
    for thread in threads:
        thread.join(30)


def run(path, name, *words, stdin=None):
    environment = {"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": str(path), "HOME": str(path.parent)}
    return subprocess.run(
        [program(name), *map(str, words)],
        env=environment, input=stdin, capture_output=True, timeout=60,
    )  # fmt: skip


def test_ssh_add_lists_removes_and_locks_keys(serve, keys, tmp_path):
    path = serve()

    listed = run(path, "ssh-add", "-L").stdout.decode().splitlines()
    (public := tmp_path / "one.pub").write_text(keys["rsa"][1])
    removed = run(path, "ssh-add", "-d", public)
    left = run(path, "ssh-add", "-L").stdout.decode().splitlines()
    cleared = run(path, "ssh-add", "-D")

    assert [line.split()[:2] for line in listed] == [each[1].split()[:2] for each in keys.values()]
    assert removed.returncode == 0, removed.stderr
    assert len(left) == 2
    assert cleared.returncode == 0
    assert b"no identities" in run(path, "ssh-add", "-L").stdout


@pytest.mark.parametrize("kind", KINDS)
def test_signature_by_the_agent_is_verified_by_ssh_keygen(kind, serve, keys, tmp_path):
    path = serve()
    (public := tmp_path / "key.pub").write_text(keys[kind][1])
    (message := tmp_path / "message").write_bytes(b"hello")
    (signers := tmp_path / "signers").write_text(f"ann@example.org {keys[kind][1]}")

    signed = run(path, "ssh-keygen", "-Y", "sign", "-f", public, "-n", "file", message)
    checked = run(
        path, "ssh-keygen", "-Y", "verify", "-f", signers, "-I", "ann@example.org", "-n", "file",
        "-s", tmp_path / "message.sig", stdin=b"hello",
    )  # fmt: skip

    assert signed.returncode == 0, signed.stderr
    assert checked.returncode == 0, checked.stdout


def test_declined_confirmation_signs_nothing_and_names_the_key(keys):
    requested = []
    key = primitives.ssh_key(keys["ed25519"][0], None)
    agent = SshAgent([Identity(key, "laptop")], confirm=lambda name: bool(requested.append(name)))

    response = agent.respond(b"\x0d" + text(key.public) + text(b"data") + bytes(4))

    assert response == FAILURE
    assert requested == ["laptop"]


def test_keys_are_removed_after_their_lifetime(keys):
    now = [0.0]
    key = primitives.ssh_key(keys["ed25519"][0], None)
    agent = SshAgent([Identity(key, "a")], lifetime=60, clock=lambda: now[0])

    before, now[0] = agent.respond(b"\x0b"), 60.0

    assert before[1:5] == struct.pack(">I", 1)
    assert agent.respond(b"\x0b") == b"\x0c" + bytes(4)


def test_locked_agent_lists_and_signs_nothing_until_unlocked(keys):
    key = primitives.ssh_key(keys["ed25519"][0], None)
    agent = SshAgent([Identity(key, "a")])
    sign = b"\x0d" + text(key.public) + text(b"data") + bytes(4)

    assert agent.respond(b"\x16" + text(b"word")) == b"\x06"
    assert agent.respond(b"\x0b") == b"\x0c" + bytes(4)
    assert agent.respond(sign) == FAILURE
    assert agent.respond(b"\x17" + text(b"other")) == FAILURE
    assert agent.respond(b"\x17" + text(b"word")) == b"\x06"
    assert agent.respond(sign)[:1] == b"\x0e"


@pytest.mark.parametrize(
    "message",
    [b"", b"\x0d", b"\x0d\xff\xff\xff\xff", b"\x0d" + text(b"k"), b"\x12", b"\x11" + text(b"add"),
     b"\x00", b"\xff" * 10, b"\x0d" + text(b"unknown key") + text(b"d") + bytes(4)],
)  # fmt: skip
def test_malformed_or_unknown_request_is_a_failure(message, keys):
    agent = SshAgent([Identity(primitives.ssh_key(keys["ed25519"][0], None), "a")])

    assert agent.respond(message) == FAILURE


def test_too_long_request_closes_only_its_connection(serve):
    path = serve()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(struct.pack(">I", 1 << 30))
        client.settimeout(60)

        assert client.recv(1) == b""
    assert run(path, "ssh-add", "-L").returncode == 0


def test_second_agent_is_rejected_and_stale_one_replaced(serve, tmp_path):
    path = serve()
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    (file := tmp_path / "file").write_text("kept")

    with pytest.raises(SocketInUse, match="Another agent serves"), ssh_agent.listening(path):
        pass
    with pytest.raises(SocketInUse, match="is not a socket"), ssh_agent.listening(file):
        pass
    with ssh_agent.listening(stale):
        assert stale.stat().st_mode & 0o777 == 0o600

    assert not stale.exists()
    assert file.read_text() == "kept"
    with pytest.raises(VaultrError, match="too long"), ssh_agent.listening(tmp_path / ("x" * 200)):
        pass


@pytest.mark.long
def test_login_to_a_local_sshd_works_through_the_agent(serve, keys, tmp_path):
    sshd = shutil.which("sshd") or shutil.which("/usr/sbin/sshd")
    assert sshd, "sshd is missing: install Debian's openssh-server (make tools)"
    host_key, allowed = tmp_path / "host", tmp_path / "authorized"
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", host_key],
                   check=True)  # fmt: skip
    allowed.write_text(keys["ecdsa"][1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (config := tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {allowed}\nPasswordAuthentication no\nPidFile none\n"
        "PermitRootLogin yes\n"
    )
    if os.getuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # for its privilege separation
    path = serve()
    with subprocess.Popen([sshd, "-D", "-e", "-f", config], stderr=subprocess.DEVNULL) as server:
        try:
            text = run(
                path, "ssh", "-p", port, "-F", "none", "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
                "-o", "ConnectionAttempts=30", f"{getpass.getuser()}@127.0.0.1", "echo", "hello",
            )  # fmt: skip
        finally:
            server.terminate()

    assert text.stdout == b"hello\n", text.stderr


def test_unusable_key_is_rejected():
    for wrong in ("", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"):
        with pytest.raises(ValueError, match="cannot be read"):
            primitives.ssh_key(wrong, None)


def test_generated_key_is_readable_here_and_by_ssh_keygen(tmp_path):
    private, key = primitives.ssh_key_new()
    (file := tmp_path / "key").write_text(private)
    file.chmod(0o600)

    shown = subprocess.run(
        [program("ssh-keygen"), "-l", "-f", file], capture_output=True, text=True
    )

    assert primitives.ssh_key(private, None).public == key.public
    assert key.fingerprint in shown.stdout
