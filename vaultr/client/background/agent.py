"""The unlock process: holds one account key in memory until it is told, or has reason, to forget.

Started as ``python -P -m vaultr.client.sdk.agent_process`` by
:mod:`vaultr.client.background.agent_client`, which hands it one line of JSON by pipe. It writes the
key nowhere, and imports nothing heavy, so that it is up at once.
"""

import contextlib
import json
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
from vaultr.client.background.socket_peers import peer_uid, read_line

CLIENT_SECONDS: Final = 1.0
# How often it looks whether its socket and its session are still there.
LOOK_SECONDS: Final = 2.0


class Agent:
    """Listens on one socket of one user, and answers only that user."""

    def __init__(self, path: Path, account_key: str, *, idle_seconds: float, leader: int | None):
        self._path = path
        self._account_key: str | None = account_key
        self._idle_seconds = idle_seconds
        self._last_used = _now()
        self._listener = _listen(path)
        self._inode = path.stat().st_ino
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._leader = _watch(leader)
        if self._leader is not None:
            self._selector.register(self._leader, selectors.EVENT_READ)

    def serve(self) -> str | None:
        """Answer until there is a reason to end; then forget and take the socket away.

        :return: the key, where idle time is the reason: the profile may lack a head still.
        """
        try:
            while self._account_key is not None and self._has_reason_to_stay():
                left = self._last_used + self._idle_seconds - _now()
                for key, _ in self._selector.select(max(0.0, min(LOOK_SECONDS, left))):
                    if key.fileobj is not self._listener:  # the session's leader has ended
                        return None
                    self._answer_next()
            return self._account_key if self._socket_is_ours() else None
        finally:
            self._account_key = None
            self._selector.close()
            self._listener.close()
            if self._socket_is_ours():
                self._path.unlink(missing_ok=True)

    def _has_reason_to_stay(self) -> bool:
        return _now() - self._last_used < self._idle_seconds and self._socket_is_ours()

    def _socket_is_ours(self) -> bool:
        try:
            return self._path.lstat().st_ino == self._inode
        except OSError:
            return False

    def _answer_next(self) -> None:
        # One client at a time; one that stalls, or goes away, costs a second and nothing else.
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(CLIENT_SECONDS)
                if peer_uid(connection) != os.getuid() or not self._has_reason_to_stay():
                    return
                answer = self._answer(read_line(connection))
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, line: bytes) -> Mapping[str, object]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"error": "not JSON"}
        match request:
            case {"op": "key"} if self._account_key is not None:
                self._last_used = _now()
                return {"account_key": self._account_key}
            case {"op": "look"}:
                return {"idle_left": self._last_used + self._idle_seconds - _now()}
            case {"op": "lock"}:
                self._account_key = None
                return {"locked": True}
        return {"error": "unknown request"}


def _listen(path: Path) -> socket.socket:
    # Bound beside its place and renamed into it, so that nobody finds a socket that does not yet
    # listen, or one of another mode.
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(str(beside))
    finally:
        os.umask(umask)
    listener.listen(16)
    beside.rename(path)
    return listener


def _watch(leader: int | None) -> int | None:
    if leader is None or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(leader)
    except OSError:
        return None


def _now() -> float:
    # Time asleep counts as idle, so a suspended laptop wakes up locked.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def main(on_idle: Callable[[Path, str, Path | None], None]) -> None:
    """Take the key from standard input, say ``ready``, and serve.

    :param on_idle: is told the client's folder, the key and its authorities once idle time ends it.
    """
    # The starter waits for this process alone: its child belongs to nobody, and leaves no zombie.
    if os.fork():
        os._exit(0)
    memory_protection.guard(for_good=True)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handed = json.loads(sys.stdin.buffer.readline())
    agent = Agent(
        Path(handed["socket"]),
        handed["account_key"],
        idle_seconds=handed["idle_seconds"],
        leader=handed["leader"],
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    # The starter's pipes end here: a shell that captures its output would wait for them.
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    account_key = agent.serve()
    if account_key is not None:
        ca_file = handed["ca_file"]
        on_idle(Path(handed["home"]), account_key, Path(ca_file) if ca_file else None)
