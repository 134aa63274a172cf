"""Run Redis scripts with little overhead, because every request waits for one.

redis-py's client checks a pooled connection before each use, retries, and notifies observers; that
takes a third of the time of counting a request. Here each thread has its own redis-py connection.
An error closes the connection, and the circuit breaker decides what to do next.
"""

import hashlib
import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

import redis

from vaultr.observability.tracing import spans

IDLE_SECONDS = 1.0  # check a connection before use if it was idle for longer


class ScriptRunner:
    """Runs scripts on one connection for each thread, reopened after an error or a fork."""

    def __init__(self, client: "redis.Redis") -> None:
        self._pool = client.connection_pool
        self._local = threading.local()

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a Lua script; send its text only if Redis does not know it yet.

        :raises redis.RedisError: Redis is unavailable, hangs, or rejects the script.
        """
        with spans.span("EVALSHA", db__system__name="redis"):
            return self._run(script, keys, arguments)

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        connection = self._connection()
        name = _name(script)
        try:
            try:
                return _send(connection, "EVALSHA", name, keys, arguments)
            except redis.exceptions.NoScriptError:
                return _send(connection, "EVAL", script, keys, arguments)
        except BaseException:
            # A late response must not be read as the response to the next command.
            connection.disconnect()
            raise

    def _connection(self) -> Any:
        now = time.monotonic()
        own: _Connection | None = getattr(self._local, "own", None)
        if own is None or own.pid != os.getpid():
            own = self._local.own = _Connection(self._pool.make_connection())
        elif now - own.used > IDLE_SECONDS and _hung_up(own.connection):
            own.connection.disconnect()
        own.used = now
        return own.connection


class _Connection:
    """One thread's connection, closed when the thread ends or the runner is deleted."""

    def __init__(self, connection: Any) -> None:
        self.pid = os.getpid()
        self.connection = connection
        self.used = 0.0
        weakref.finalize(self, connection.disconnect)


def _hung_up(connection: Any) -> bool:
    """Return whether the server closed an idle connection: its socket is then readable."""
    try:
        return bool(connection.is_connected and connection.can_read(timeout=0))
    except (redis.RedisError, OSError):
        return True


_names: dict[str, str] = {}


def _name(script: str) -> str:
    if script not in _names:
        # Redis identifies scripts by SHA-1, which protects nothing here.
        _names[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    return _names[script]


def _send(connection: Any, command: str, script: str, keys: Sequence[str], arguments: Any) -> Any:
    packed = connection.pack_command(command, script, len(keys), *keys, *arguments)
    connection.send_packed_command(packed, check_health=False)
    return connection.read_response()
