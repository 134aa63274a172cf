"""The counters behind a breaker: Redis while it answers, else this process, never nothing."""

import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import redis
from flask import Flask
from limits.storage import SlidingWindowCounterSupport, Storage
from redis.backoff import NoBackoff
from redis.retry import Retry

from vaultr.app_state import AppSlot
from vaultr.observability import logs, metrics
from vaultr.ratelimit.counters import MemoryCounters, RedisCounters
from vaultr.ratelimit.sliding_window import Count, Window, given_back
from vaultr.settings.types import Rate

TIMEOUT_SECONDS = 0.1  # to connect and to answer: 0.2 s at most are lost before the breaker opens
RETRY_SECONDS = 1.0

_ENDLESS = 2**31
_PROBE = Count("probe", Rate(1, 1), 0)

# The first that fits; some kinds are special cases of those below them.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (redis.exceptions.AuthenticationError, "password"),
    (redis.exceptions.NoPermissionError, "password"),
    (redis.exceptions.BusyLoadingError, "loading"),
    (redis.exceptions.OutOfMemoryError, "full"),
    (redis.exceptions.ReadOnlyError, "read-only"),
    (redis.exceptions.TimeoutError, "timeout"),
    (redis.exceptions.ConnectionError, "connection"),
    (OSError, "connection"),
)


class Guard:
    """Counts on Redis; when that fails, in this process with the limits divided by the workers."""

    def __init__(self, url: str | None, workers: int) -> None:
        self._workers = max(1, workers) if url else 1
        self._memory = MemoryCounters()
        self.redis: redis.Redis | None = _client(url) if url else None
        self._shared = RedisCounters(self.redis) if self.redis is not None else None
        self._lock = threading.Lock()
        self._reasons: set[str] = set()
        self.away_since: float | None = None

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all of them, under keys that differ, or, if one does not fit, none."""
        windows = self._shared_windows(counts)
        return self._memory.take(self._divided(counts)) if windows is None else windows

    def refund(self, counts: Sequence[Count]) -> None:
        """Give back what was taken."""
        self.take(given_back(counts))

    def reachable(self) -> bool:
        """Find out now whether Redis counts, whatever the breaker says; True where none is used.

        It is asked to count, by nothing: one that is full or read-only would still answer a PING.
        """
        if self._shared is None:
            return True
        try:
            self._shared.take([_PROBE])
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return False
        self._worked()
        return True

    def clear_memory(self) -> None:
        """Forget what this process counted."""
        self._memory.clear()

    def _divided(self, counts: Sequence[Count]) -> list[Count]:
        share = self._workers
        return [
            replace(one, rate=Rate(max(1, one.rate.count // share), one.rate.seconds))
            for one in counts
        ]

    def _shared_windows(self, counts: Sequence[Count]) -> list[Window] | None:
        if self._shared is None:
            return None
        if self.away_since is not None:
            return None
        try:
            return self._shared.take(counts)
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        reason = reason_of(error)
        with self._lock:
            first = self.away_since is None
            self.away_since = self.away_since or time.monotonic()
            news = reason not in self._reasons  # told once an outage, however often it fails
            self._reasons.add(reason)
            if first:
                metrics.REDIS_AWAY.set(1)  # under the lock: of two who tell, the last one is right
        metrics.REDIS_ERRORS.labels(reason).inc()
        if news:
            logs.warning("redis.away", reason=reason, error=type(error).__name__)
        if first:
            look = threading.Thread(target=_until_back, args=(weakref.ref(self),), daemon=True)
            look.start()

    def _worked(self) -> None:
        with self._lock:
            back = self.away_since is not None
            if back:
                metrics.REDIS_AWAY.set(0)
                logs.event("redis.back")
            self.away_since = None
            self._reasons.clear()


def _until_back(kept: "weakref.ref[Guard]") -> None:
    """Ask whether Redis is back until it is: also in a process that nobody asks for anything."""
    while True:
        time.sleep(RETRY_SECONDS)
        guard = kept()
        if guard is None or guard.away_since is None or guard.reachable():
            return
        del guard  # while this sleeps, nothing else may need it any more


def reason_of(error: Exception) -> str:
    """Say in a word why Redis does not count: what an operator has to look at."""
    return next((word for kind, word in _REASONS if isinstance(error, kind)), "other")


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        health_check_interval=0,
    )


class GuardedStorage(Storage, SlidingWindowCounterSupport):
    """What Flask-Limiter counts on: the same guard, so there is one breaker in a process.

    The one `Limiter` keeps the storage of the app that was made last; so the guard is asked for
    at each request, and apps of one process do not share what they count.
    """

    STORAGE_SCHEME = ["vaultr"]

    def __init__(self, uri: str | None = None, **_options: Any) -> None:
        super().__init__(uri, wrap_exceptions=False)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing that this storage raises is a failed storage: the guard has dealt with it."""
        return ConnectionAbortedError

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count one request."""
        return current().take([Count(key, Rate(limit, expiry), amount)])[0].allowed

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return how a counter stands, as one slot: used hits, and when they are gone."""
        window = current().take([Count(key, Rate(_ENDLESS, expiry), 0)])[0]
        return 0, 0.0, window.limit - window.remaining, float(window.reset)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count for the fixed-window strategy, which nothing here uses."""
        window = current().take([Count(key, Rate(_ENDLESS, expiry), amount)])[0]
        return window.limit - window.remaining

    def get(self, key: str) -> int:
        """Return the hits of a fixed window; nothing here uses one."""
        return 0

    def get_expiry(self, key: str) -> float:
        """Return the end of a fixed window; nothing here uses one."""
        return time.time()

    def check(self) -> bool:
        """Check whether counting works; it always does, shared or not."""
        return True

    def reset(self) -> int | None:
        """Forget what this process counted."""
        current().clear_memory()
        return None

    def clear(self, key: str) -> None:
        """Forget one counter; nothing here asks for it."""

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget one counter; nothing here asks for it."""


_GUARD: Final = AppSlot[Guard]("ratelimit.limiter")


def init_app(app: Flask, guard: Guard) -> None:
    """Store what counts the requests of ``app``."""
    _GUARD.set(app, guard)


def current() -> Guard:
    """Return the counters of the running server."""
    return _GUARD.get()
