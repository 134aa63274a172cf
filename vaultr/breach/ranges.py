"""Padded ranges: from a cache, or from the upstream behind a circuit breaker."""

import secrets
import threading
import time
from collections import OrderedDict
from typing import Final

from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.breach.upstream import Upstream, UpstreamFailed, upstream_of
from vaultr.observability import logs
from vaultr.settings.model import Settings

# A range has about 40 KiB of hashes; responses are padded to a multiple of this size.
STEP_BYTES: Final = 16_384
CACHED_BYTES: Final = 8 * 1024 * 1024
CACHED_SECONDS: Final = 86_400.0
FAILURES: Final = 3
OPEN_SECONDS: Final = 30.0

_SUFFIX_DIGITS: Final = 35
_PADDING_BYTES: Final = _SUFFIX_DIGITS + len(":0\n")


class _Breaker:
    """Stops asking the upstream for a while after a few failures in a row."""

    def __init__(self) -> None:
        self._failures = 0
        self._closed_at = float("-inf")

    def allows(self) -> bool:
        return time.monotonic() >= self._closed_at

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_at = time.monotonic() + OPEN_SECONDS
            self._failures = FAILURES - 1  # after the pause, one attempt decides


class _Cache:
    """The most recently requested ranges, up to a number of bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._bytes = 0

    def get(self, prefix: str) -> str | None:
        with self._lock:
            found = self._bodies.get(prefix)
            if found is None or found[0] < time.monotonic():
                return None
            self._bodies.move_to_end(prefix)
            return found[1]

    def put(self, prefix: str, body: str) -> None:
        with self._lock:
            old = self._bodies.pop(prefix, None)
            self._bytes -= len(old[1]) if old else 0
            self._bodies[prefix] = (time.monotonic() + CACHED_SECONDS, body)
            self._bytes += len(body)
            while self._bytes > CACHED_BYTES:
                _, (_, dropped) = self._bodies.popitem(last=False)
                self._bytes -= len(dropped)


class _Ranges:
    """The ranges of one upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._cache = _Cache()
        self._breaker = _Breaker()

    def find(self, prefix: str) -> str | None:
        cached = self._cache.get(prefix)
        if cached is not None or not self._breaker.allows():
            return cached
        try:
            body = _padded(self._upstream.range_of(prefix))
        except UpstreamFailed as error:
            self._breaker.failed()
            logs.failure("breach.failed", error)
            return None
        self._breaker.succeeded()
        self._cache.put(prefix, body)
        return body


_RANGES: Final = AppSlot[_Ranges | None]("breach.ranges")


def init_app(app: Flask, settings: Settings) -> None:
    """Prepare the upstream that BREACH_UPSTREAM_URL names, if it is set."""
    url = settings.breach_upstream_url
    _RANGES.set(app, _Ranges(upstream_of(url, settings.tls_context())) if url else None)


def find_range(prefix: str) -> str | None:
    """Return the padded range of five hexadecimal digits; None if it is unavailable.

    Each line is `SUFFIX:COUNT`; lines with count 0 are padding, so that the size of a response does
    not show which range it is.
    """
    ranges = _RANGES.get()
    return None if ranges is None else ranges.find(prefix.upper())


def _padded(lines: list[str]) -> str:
    """Mix padding into the lines, up to a multiple of `STEP_BYTES`."""
    missing = -sum(len(line) + 1 for line in lines) % STEP_BYTES
    if missing < _PADDING_BYTES**2:
        missing += STEP_BYTES  # with more lines, a second digit in some of them fills any rest
    count, rest = divmod(missing, _PADDING_BYTES)
    padding = [
        f"{secrets.token_hex(_SUFFIX_DIGITS)[:_SUFFIX_DIGITS].upper()}:{'00' if n < rest else '0'}"
        for n in range(count)
    ]
    return "".join(f"{line}\n" for line in sorted([*lines, *padding]))
