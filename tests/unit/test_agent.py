import contextlib
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.timing import until
from vaultr.client.background import agent_client
from vaultr.client.background.agent_client import AgentClient
from vaultr.client.background.lifetime import Lifetime
from vaultr.protocol.encoding import b64

KEY = bytes(range(32))


@pytest.fixture(autouse=True)
def runtime(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("run")
    folder.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def agent(tmp_path):
    agent = AgentClient(tmp_path)
    yield agent
    agent.end()


def socket_of(runtime: Path) -> Path:
    (found,) = (runtime / "vaultr").iterdir()
    return found


def pid_behind(path: Path) -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(packed[:4], sys.byteorder)


def gone(path: Path) -> bool:
    return until(lambda: not path.exists())


def test_stored_key_is_returned_until_agent_ends(agent, runtime):
    assert agent.account_key() is None

    assert agent.start(KEY)

    assert agent.is_holding_key()
    assert agent.account_key() == KEY
    path = socket_of(runtime)
    agent.end()
    assert gone(path)
    assert agent.account_key() is None


def test_agent_socket_is_accessible_only_to_owner(agent, runtime):
    agent.start(KEY)

    assert stat.S_IMODE(socket_of(runtime).stat().st_mode) == 0o600
    assert stat.S_IMODE((runtime / "vaultr").stat().st_mode) == 0o700


def test_key_is_in_no_argument_environment_or_core_file(agent, runtime):
    agent.start(KEY)

    pid = pid_behind(socket_of(runtime))

    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert command.endswith(b"\0-m\0vaultr.client.sdk.agent_process\0")
    # Other users may not read its memory; root can, but does not find the key.
    with contextlib.suppress(PermissionError):
        assert b64(KEY).encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert "Max core file size        0 " in Path(f"/proc/{pid}/limits").read_text()


def test_agent_forgets_key_after_idle_time(tmp_path, runtime):
    agent = AgentClient(tmp_path)

    assert agent.start(KEY, Lifetime.idle(0.5))

    until(lambda: not list((runtime / "vaultr").iterdir()))
    assert agent.account_key() is None


def test_only_requests_for_the_key_reset_idle_time(tmp_path):
    agent = AgentClient(tmp_path)

    used_for(agent, seconds=1.5, idle_seconds=1.0)
    for _ in range(5):
        time.sleep(0.3)
        agent.is_holding_key()

    assert not agent.is_holding_key()


def used_for(agent, *, seconds, idle_seconds):
    """Request the key often for this long; start again if the machine paused us for too long."""
    agent.start(KEY, Lifetime.idle(idle_seconds))
    began = last = time.monotonic()
    while last - began < seconds:
        time.sleep(0.3)
        requested, key = time.monotonic(), agent.account_key()
        if time.monotonic() - last < idle_seconds:
            assert key == KEY
            last = requested
        else:
            agent.start(KEY, Lifetime.idle(idle_seconds))
            began = last = time.monotonic()


def test_total_lifetime_ends_despite_use(tmp_path, runtime):
    agent = AgentClient(tmp_path)

    agent.start(KEY, Lifetime(total_seconds=1.0))

    until(lambda: agent.account_key() is None)


def test_key_without_lifetime_never_expires(agent):
    agent.start(KEY, Lifetime())

    assert agent.held().left is None


def test_replaced_key_keeps_the_expiry_of_the_first(agent):
    agent.start(KEY, Lifetime(total_seconds=100))
    time.sleep(0.2)

    agent.replace_key(bytes(32))

    assert agent.account_key() == bytes(32)
    assert agent.held().left < 99.9


def test_replace_key_on_empty_agent_stores_nothing(agent):
    agent.replace_key(KEY)

    assert not agent.is_holding_key()


def test_second_agent_replaces_the_first(agent):
    agent.start(KEY)

    agent.start(bytes(32))

    assert agent.account_key() == bytes(32)


def test_two_folders_have_two_agents(agent, tmp_path):
    other = AgentClient(tmp_path / "other")
    agent.start(KEY)

    assert other.account_key() is None


def test_agent_exits_when_its_socket_is_removed(agent, runtime):
    agent.start(KEY)
    pid = pid_behind(socket_of(runtime))

    socket_of(runtime).unlink()

    assert gone(Path(f"/proc/{pid}/cmdline")), "the agent did not exit with its runtime folder"


def test_stalling_or_invalid_client_does_not_stop_agent(agent, runtime):
    agent.start(KEY)
    with socket.socket(socket.AF_UNIX) as stalled, socket.socket(socket.AF_UNIX) as rubbish:
        stalled.connect(str(socket_of(runtime)))
        rubbish.connect(str(socket_of(runtime)))
        rubbish.sendall(b"\xff{[\n")

        assert agent.account_key() == KEY


def test_agent_does_not_start_in_folder_accessible_to_others(tmp_path, runtime, monkeypatch):
    runtime.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(agent_client.tempfile, "tempdir", None)
    shared = tmp_path / f"vaultr-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)

    assert AgentClient(tmp_path).start(KEY) is False


def test_agent_setting_off_disables_the_agent(monkeypatch):
    monkeypatch.setenv("VAULTR_AGENT", "off")

    assert not agent_client.agent_allowed()


def test_agent_ends_with_its_session(agent, runtime, monkeypatch):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as leader:
        monkeypatch.setattr(agent_client, "_session_leader", lambda: leader.pid)
        agent.start(KEY)
        path = socket_of(runtime)
        assert agent.is_holding_key()

    assert gone(path)
