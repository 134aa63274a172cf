"""Scripts on Redis with little between: every request waits for one, so each microsecond counts.

redis-py's client looks at a pooled connection before it lends it, retries, and reports to
observers; that is a third of what counting a request costs. Here each thread keeps a connection of
redis-py's own and speaks on it; an error closes it, and the breaker above decides what then.
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

IDLE_SECONDS = 1.0  # after which a connection is looked at before it is used


class Lines:
    """One connection a thread, made anew after an error and in a forked child."""

    def __init__(self, client: "redis.Redis") -> None:
        self._pool = client.connection_pool
        self._own = threading.local()

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a Lua script, which Redis is told only if it does not know it yet.

        :raises redis.RedisError: Redis is away, hangs, or refuses.
        """
        with spans.span("EVALSHA", db__system__name="redis"):
            return self._asked(script, keys, arguments)

    def _asked(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        connection = self._line()
        name = _name(script)
        try:
            try:
                return _ask(connection, "EVALSHA", name, keys, arguments)
            except redis.exceptions.NoScriptError:
                return _ask(connection, "EVAL", script, keys, arguments)
        except BaseException:
            # What was asked may still be answered: nobody may read that as theirs.
            connection.disconnect()
            raise

    def _line(self) -> Any:
        now = time.monotonic()
        line: _Line | None = getattr(self._own, "line", None)
        if line is None or line.pid != os.getpid():
            line = self._own.line = _Line(self._pool.make_connection())
        elif now - line.used > IDLE_SECONDS and _hung_up(line.connection):
            line.connection.disconnect()
        line.used = now
        return line.connection


class _Line:
    """One thread's connection, closed when the thread ends or nobody counts here any more."""

    def __init__(self, connection: Any) -> None:
        self.pid = os.getpid()
        self.connection = connection
        self.used = 0.0
        weakref.finalize(self, connection.disconnect)


def _hung_up(connection: Any) -> bool:
    """Check whether the server has closed an idle connection: then there is something to read."""
    try:
        return bool(connection.is_connected and connection.can_read(timeout=0))
    except (redis.RedisError, OSError):
        return True


_names: dict[str, str] = {}


def _name(script: str) -> str:
    if script not in _names:
        # Redis names scripts by SHA-1; nothing is protected by it.
        _names[script] = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    return _names[script]


def _ask(connection: Any, command: str, script: str, keys: Sequence[str], given: Any) -> Any:
    packed = connection.pack_command(command, script, len(keys), *keys, *given)
    connection.send_packed_command(packed, check_health=False)
    return connection.read_response()
