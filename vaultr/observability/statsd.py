"""Metrics for a StatsD server: one datagram each second, which never fails or delays a request."""

import contextlib
import re
import socket
import threading
import time
from collections import deque
from typing import Any, Final

PREFIX: Final = "vaultr."
PORT: Final = 8125
FLUSH_SECONDS: Final = 1.0
RESOLVE_SECONDS: Final = 60.0  # how long a resolved address is used
DATAGRAM_BYTES: Final = 1400  # what fits into one Ethernet packet
MOST_NAMES: Final = 2000  # of one process; further ones are sent as ``other``
MOST_TIMINGS: Final = 2000  # between two flushes; further ones are dropped
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]+")


def name_of(*parts: str) -> str:
    """Build a metric name: letters, digits, ``_`` and ``-``, joined by dots."""
    words = [_UNFIT.sub("_", part).strip("_")[:64] or "none" for part in parts]
    return PREFIX + ".".join(words)


def address_of(text: str) -> tuple[str, int]:
    """Parse ``host`` or ``host:port``; write an IPv6 address with a port in brackets."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    return host, int(port) if port.isdecimal() and 0 < int(port) < 65536 else PORT


class Emitter:
    """Collects the metrics of one process, and sends them from its own thread.

    If the host name cannot be resolved or nothing listens on the port, only the metrics are lost.
    """

    def __init__(self, where: str) -> None:
        self._host, self._port = address_of(where)
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._counts: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._timings: deque[tuple[str, float]] = deque(maxlen=MOST_TIMINGS)
        self._address: tuple[int, tuple[Any, ...]] | None = None
        self._resolved_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="vaultr-statsd", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def stop(self) -> None:
        """Send the remaining metrics, unless that takes too long."""
        self._stop.set()
        self._thread.join(FLUSH_SECONDS)

    def count(self, name: str, amount: float) -> None:
        """Add to a counter."""
        with self._lock:
            name = self._bounded(name)
            self._counts[name] = self._counts.get(name, 0) + amount

    def gauge(self, name: str, value: float) -> None:
        """Set a gauge."""
        with self._lock:
            self._gauges[self._bounded(name)] = value

    def timing(self, name: str, seconds: float) -> None:
        """Record a duration."""
        with self._lock:
            self._timings.append((self._bounded(name), seconds))

    def _bounded(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= MOST_NAMES:
                return PREFIX + "other"
            self._names.add(name)
        return name

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            lines = [f"{name}:{value:g}|c" for name, value in self._counts.items()]
            # A gauge that begins with a sign would be read as a change of its last value.
            lines += [f"{name}:{max(value, 0):.15g}|g" for name, value in self._gauges.items()]
            lines += [f"{name}:{seconds * 1000:.3f}|ms" for name, seconds in self._timings]
            self._counts.clear()
            self._gauges.clear()
            self._timings.clear()
        # Network errors are ignored: UDP guarantees nothing.
        with contextlib.suppress(OSError, UnicodeError):
            self._send(lines)

    def _send(self, lines: list[str]) -> None:
        if not lines or (address := self._resolved()) is None:
            return
        family, where = address
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # noqa: FBT003 - sockets take no keywords here
            for datagram in _packed(lines):
                with contextlib.suppress(OSError):
                    sender.sendto(datagram, where)

    def _resolved(self) -> tuple[int, tuple[Any, ...]] | None:
        now = time.monotonic()
        if self._address is None or now - self._resolved_at > RESOLVE_SECONDS:
            self._resolved_at = now
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            self._address = (found[0][0], found[0][4])
        return self._address


def _packed(lines: list[str]) -> list[bytes]:
    packed: list[list[str]] = [[]]
    size = 0
    for line in lines:
        if size + len(line) + 1 > DATAGRAM_BYTES and packed[-1]:
            packed.append([])
            size = 0
        packed[-1].append(line)
        size += len(line) + 1
    return ["\n".join(part).encode() for part in packed]


_emitter: Emitter | None = None


def start(where: str | None) -> None:
    """Start sending to ``where``, if it is set; call it after the fork."""
    global _emitter
    if where and _emitter is None:
        _emitter = Emitter(where)
        _emitter.start()


def stop() -> None:
    """Send the remaining metrics, and stop."""
    global _emitter
    emitter, _emitter = _emitter, None
    if emitter is not None:
        emitter.stop()


def count(name: str, amount: float = 1) -> None:
    """Add to a counter; does nothing unless `start` was called with an address."""
    if _emitter is not None:
        _emitter.count(name, amount)


def gauge(name: str, value: float) -> None:
    """Set a gauge."""
    if _emitter is not None:
        _emitter.gauge(name, value)


def timing(name: str, seconds: float) -> None:
    """Record a duration."""
    if _emitter is not None:
        _emitter.timing(name, seconds)
