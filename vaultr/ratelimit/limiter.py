"""Counters behind a circuit breaker: Redis while it responds, otherwise this process."""

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
from vaultr.ratelimit.sliding_window import Count, Window, refund_of
from vaultr.settings.types import Rate

TIMEOUT_SECONDS = (
    0.1  # for connecting and for a response: a request loses at most 0.2 s before the breaker opens
)
RETRY_SECONDS = 1.0

_ENDLESS = 2**31
_PROBE = Count("probe", Rate(1, 1), 0)

# The first match counts: some classes are subclasses of later ones.
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


class FallbackLimiter:
    """Counts in Redis or, while that fails, in this process with limits divided by the workers."""

    def __init__(self, url: str | None, workers: int, authorities: str | None = None) -> None:
        self._workers = max(1, workers) if url else 1
        self._memory = MemoryCounters()
        self.redis: redis.Redis | None = _client(url, authorities) if url else None
        self._shared = RedisCounters(self.redis) if self.redis is not None else None
        self._lock = threading.Lock()
        self._reasons: set[str] = set()
        self.away_since: float | None = None

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all of ``counts`` (with distinct keys), or none if a limit is reached."""
        windows = self._shared_windows(counts)
        return self._memory.take(self._divided(counts)) if windows is None else windows

    def refund(self, counts: Sequence[Count]) -> None:
        """Undo ``counts``, each in the slot in which it was counted."""
        self.take(refund_of(counts))

    def reachable(self) -> bool:
        """Check whether Redis works, regardless of the breaker; True if Redis is not configured.

        It runs the counting script with cost 0: a full or read-only Redis would still answer PING.
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
        """Delete the counters of this process."""
        self._memory.clear()

    def _divided(self, counts: Sequence[Count]) -> list[Count]:
        share = self._workers
        return [
            replace(count, rate=Rate(max(1, count.rate.count // share), count.rate.seconds))
            for count in counts
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
            new = reason not in self._reasons  # log each reason once for each outage
            self._reasons.add(reason)
            if first:
                # under the lock, so that the last write is the correct one
                metrics.REDIS_AWAY.set(1)
        metrics.REDIS_ERRORS.labels(reason).inc()
        if new:
            logs.warning("redis.away", reason=reason, error=type(error).__name__)
        if first:
            watcher = threading.Thread(
                target=_wait_for_redis, args=(weakref.ref(self),), daemon=True
            )
            watcher.start()

    def _worked(self) -> None:
        with self._lock:
            back = self.away_since is not None
            if back:
                metrics.REDIS_AWAY.set(0)
                logs.event("redis.back")
            self.away_since = None
            self._reasons.clear()


def _wait_for_redis(reference: "weakref.ref[FallbackLimiter]") -> None:
    """Check every second until Redis is back, even if the process gets no requests."""
    while True:
        time.sleep(RETRY_SECONDS)
        limiter = reference()
        if limiter is None or limiter.away_since is None or limiter.reachable():
            return
        del limiter  # hold no reference while this thread sleeps


def reason_of(error: Exception) -> str:
    """Return the reason why Redis does not work as one word, for logs and metrics."""
    return next((word for kind, word in _REASONS if isinstance(error, kind)), "other")


def _client(url: str, authorities: str | None) -> redis.Redis:
    verifies = authorities is not None and url.startswith("rediss:")
    tls = {"ssl_ca_data": authorities} if verifies else {}
    return redis.Redis.from_url(
        url,
        **tls,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        health_check_interval=0,
    )


class FallbackStorage(Storage, SlidingWindowCounterSupport):
    """Adapts the limiter to Flask-Limiter's storages, so that a process has only one breaker.

    Flask-Limiter's global `Limiter` uses the storage of the last app. So the limiter is looked up
    on each request, and apps in one process do not share counters.
    """

    STORAGE_SCHEME = ["vaultr"]

    def __init__(self, uri: str | None = None, **_options: Any) -> None:
        super().__init__(uri, wrap_exceptions=False)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return an exception that never occurs: the storage never fails, due to its fallback."""
        return ConnectionAbortedError

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count one request."""
        return current().take([Count(key, Rate(limit, expiry), amount)])[0].allowed

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return the state of a counter as one slot: hits, and seconds until they expire."""
        window = current().take([Count(key, Rate(_ENDLESS, expiry), 0)])[0]
        return 0, 0.0, window.limit - window.remaining, float(window.reset)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count for the fixed-window strategy; not used."""
        window = current().take([Count(key, Rate(_ENDLESS, expiry), amount)])[0]
        return window.limit - window.remaining

    def get(self, key: str) -> int:
        """Return the hits of a fixed window; not used."""
        return 0

    def get_expiry(self, key: str) -> float:
        """Return the end of a fixed window; not used."""
        return time.time()

    def check(self) -> bool:
        """Return True: counting always works, in Redis or in this process."""
        return True

    def reset(self) -> int | None:
        """Delete the counters of this process."""
        current().clear_memory()
        return None

    def clear(self, key: str) -> None:
        """Delete one counter; not used."""

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Delete one counter; not used."""


_LIMITER: Final = AppSlot[FallbackLimiter]("ratelimit.limiter")


def init_app(app: Flask, limiter: FallbackLimiter) -> None:
    """Store the limiter of ``app``."""
    _LIMITER.set(app, limiter)


def current() -> FallbackLimiter:
    """Return the limiter of the running server."""
    return _LIMITER.get()
