"""The agent: a process that keeps one account key in memory until the device is locked.

:mod:`vaultr.client.background.agent_client` starts it as ``python -P -m
vaultr.client.sdk.agent_process`` and sends it one line of JSON through a pipe. It never writes the
key to a file, and imports nothing slow, so that it starts quickly.
"""

import contextlib
import json
import math
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from vaultr.client.background import memory_protection
from vaultr.client.background.lifetime import Lifetime
from vaultr.client.background.socket_peers import peer_uid, read_line
from vaultr.protocol.encoding import unb64_exactly

CLIENT_SECONDS: Final = 1.0
# How often it checks that its socket and its login session still exist.
POLL_SECONDS: Final = 2.0


class Agent:
    """Listens on a Unix socket, and responds only to the user that owns it."""

    def __init__(self, path: Path, account_key: str, *, lifetime: Lifetime, leader: int | None):
        self._path = path
        self._account_key: str | None = account_key
        self._lifetime = lifetime
        self._started = self._last_used = _now()
        self._listener = _listen(path)
        self._inode = path.stat().st_ino
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._leader = _watch(leader)
        if self._leader is not None:
            self._selector.register(self._leader, selectors.EVENT_READ)

    def serve(self) -> str | None:
        """Respond to requests until there is a reason to stop; then forget the key.

        :return: the key if its time has run out, because the profile may still lack a head.
        """
        try:
            while self._account_key is not None and self._should_continue():
                for key, _ in self._selector.select(max(0.0, min(POLL_SECONDS, self._left()))):
                    if key.fileobj is not self._listener:  # the login session has ended
                        return None
                    self._serve_one()
            return self._account_key if self._socket_is_ours() else None
        finally:
            self._account_key = None
            self._selector.close()
            self._listener.close()
            if self._socket_is_ours():
                self._path.unlink(missing_ok=True)

    def _left(self) -> float:
        now = _now()
        return self._lifetime.left(used=now - self._started, idle=now - self._last_used)

    def _should_continue(self) -> bool:
        return self._left() > 0 and self._socket_is_ours()

    def _socket_is_ours(self) -> bool:
        try:
            return self._path.lstat().st_ino == self._inode
        except OSError:
            return False

    def _serve_one(self) -> None:
        # One client at a time: a client that stalls or disconnects blocks others for a second.
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(CLIENT_SECONDS)
                if peer_uid(connection) != os.getuid() or not self._should_continue():
                    return
                response = self._respond(read_line(connection))
                connection.sendall(json.dumps(response).encode() + b"\n")

    def _respond(self, line: bytes) -> Mapping[str, object]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"error": "not JSON"}
        match request:
            case {"op": "key"} if self._account_key is not None:
                self._last_used = _now()
                return {"account_key": self._account_key}
            case {"op": "look"}:
                left = self._left()
                return {
                    "left": None if left == math.inf else left,
                    "lifetime": self._lifetime.to_json(),
                }
            case {"op": "lock"}:
                self._account_key = None
                return {"locked": True}
        return {"error": "unknown request"}


def _listen(path: Path) -> socket.socket:
    # Bound under a temporary name and renamed, so that nobody finds a socket that does not listen
    # yet or has the wrong mode.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(str(temporary))
    finally:
        os.umask(umask)
    listener.listen(16)
    temporary.rename(path)
    return listener


def _watch(leader: int | None) -> int | None:
    if leader is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(leader)
    except OSError:
        return None


def _now() -> float:
    # Suspended time counts as idle, so that a laptop is locked when it wakes up.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def main(on_idle: Callable[[Path, bytes, Path | None], None]) -> None:
    """Read the key from standard input, print ``ready``, and serve.

    :param on_idle: called with the client's folder, the key and the CA file when the time has run
        out.
    """
    # The starter waits only for this process; init adopts the child, so it leaves no zombie.
    if os.fork():
        os._exit(0)
    memory_protection.guard(for_good=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    started_with = json.loads(sys.stdin.buffer.readline())
    agent = Agent(
        Path(started_with["socket"]),
        started_with["account_key"],
        lifetime=Lifetime.from_json(started_with["lifetime"]),
        leader=started_with["leader"],
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    # Close the starter's pipes: a shell that captures its output would wait for them.
    devnull = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(devnull, descriptor)
    account_key = agent.serve()
    if account_key is not None:
        ca_file = started_with["ca_file"]
        key = unb64_exactly(account_key, 32)
        on_idle(Path(started_with["home"]), key, Path(ca_file) if ca_file else None)
