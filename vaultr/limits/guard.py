"""The counters behind a breaker: Redis while it answers, else this process, never nothing."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import redis
from limits.storage import SlidingWindowCounterSupport, Storage
from redis.backoff import NoBackoff
from redis.retry import Retry

from vaultr import logs, metrics
from vaultr.environ import Rate
from vaultr.limits.counters import Count, MemoryCounters, RedisCounters, Window

TIMEOUT_SECONDS = 0.1  # to connect and to answer: 0.2 s at most are lost before the breaker opens
RETRY_SECONDS = 2.0

T = TypeVar("T")


class Guard:
    """Counts on Redis; when that fails, in this process with the limits divided by the workers."""

    def __init__(self, url: str | None, workers: int) -> None:
        self._workers = max(1, workers) if url else 1
        self._memory = MemoryCounters()
        self.redis: redis.Redis | None = _client(url) if url else None
        self._shared = RedisCounters(self.redis) if self.redis is not None else None
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self.away_since: float | None = None

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all of them or, if one does not fit, none."""
        shared = self._shared
        return self._ask(
            lambda: shared.take(counts) if shared else [],
            lambda: self._memory.take(self._divided(counts)),
        )

    def refund(self, counts: Sequence[Count]) -> None:
        """Give back what was taken."""
        shared = self._shared
        self._ask(
            lambda: shared.refund(counts) if shared else None,
            lambda: self._memory.refund(self._divided(counts)),
        )

    def reachable(self) -> bool:
        """Ask Redis now, whatever the breaker says; True where none is used."""
        if self.redis is None:
            return True
        try:
            self.redis.ping()
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

    def _ask(self, shared: Callable[[], T], alone: Callable[[], T]) -> T:
        if self._shared is None or not self._may_try():
            return alone()
        try:
            result = shared()
        except (redis.RedisError, OSError) as error:
            self._failed(error)
            return alone()
        self._worked()
        return result

    def _may_try(self) -> bool:
        if self.away_since is None:
            return True
        with self._lock:  # one request at a time finds out whether Redis is back
            now = time.monotonic()
            if now < self._closed_until:
                return False
            self._closed_until = now + RETRY_SECONDS
            return True

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._closed_until = time.monotonic() + RETRY_SECONDS
            first = self.away_since is None
            if first:
                self.away_since = time.monotonic()
        metrics.REDIS_AWAY.set(1)
        if first:
            logs.warning("redis.away", reason=type(error).__name__)

    def _worked(self) -> None:
        if self.away_since is None:
            return
        with self._lock:
            self.away_since = None
        metrics.REDIS_AWAY.set(0)
        logs.event("redis.back")


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
    """What Flask-Limiter counts on: the same guard, so there is one breaker in a process."""

    STORAGE_SCHEME = ["vaultr"]

    def __init__(self, uri: str | None = None, *, guard: Guard, **_options: Any) -> None:
        super().__init__(uri, wrap_exceptions=False)
        self._guard = guard

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing that this storage raises is a failed storage: the guard has dealt with it."""
        return ConnectionAbortedError

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count one request."""
        return self._guard.take([Count(key, Rate(limit, expiry), amount)])[0].allowed

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Tell how a counter stands, as one slot: used hits, and when they are gone."""
        window = self._guard.take([Count(key, Rate(2**31, expiry), 0)])[0]
        return 0, 0.0, window.limit - window.remaining, float(window.reset)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count for the fixed-window strategy, which nothing here uses."""
        window = self._guard.take([Count(key, Rate(2**31, expiry), amount)])[0]
        return window.limit - window.remaining

    def get(self, key: str) -> int:
        """Give the hits of a fixed window; nothing here uses one."""
        return 0

    def get_expiry(self, key: str) -> float:
        """Give the end of a fixed window; nothing here uses one."""
        return time.time()

    def check(self) -> bool:
        """Tell whether counting works; it always does, shared or not."""
        return True

    def reset(self) -> int | None:
        """Forget what this process counted."""
        self._guard.clear_memory()
        return None

    def clear(self, key: str) -> None:
        """Forget one counter; nothing here asks for it."""

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget one counter; nothing here asks for it."""
