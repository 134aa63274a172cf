"""Requests denied by authentication or a rate limit, summed by minute, reason and network.

The number of sums is bounded, so that anonymous requests cannot fill the disk.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

from flask import Flask

from vaultr.app_state import AppSlot
from vaultr.audit.events import Event
from vaultr.settings.model import Settings

MINUTE_SECONDS = 60
# Maximum for one process and minute; requests from further networks are added to "other".
MOST_KINDS = 32
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Denied:
    """The number of requests denied in one minute, for one reason, from one network."""

    event: Event
    reason: str
    network: str
    minute: int
    count: int


class Denials:
    """The counts of this process that are not recorded yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str, str]] = Counter()
        self._not_before = 0.0

    def count(self, reason: str, network: str) -> None:
        """Count one denied request, without I/O."""
        minute = int(time.time()) // MINUTE_SECONDS
        with self._lock:
            key = (minute, reason, network)
            known = key in self._counts
            if not known and sum(1 for group in self._counts if group[0] == minute) >= MOST_KINDS:
                key = (minute, reason, OTHER)
            self._counts[key] += 1

    def due(self) -> bool:
        """Check whether counts of a past minute are due to be recorded."""
        if not self._counts or time.monotonic() < self._not_before:
            return False
        minute = int(time.time()) // MINUTE_SECONDS
        with self._lock:
            return any(group[0] < minute for group in self._counts)

    def take(self, *, all_of_them: bool = False) -> list[Denied]:
        """Remove and return the counts of past minutes, or all of them."""
        minute = int(time.time()) // MINUTE_SECONDS
        with self._lock:
            done = [group for group in self._counts if all_of_them or group[0] < minute]
            return [_denied(*group, self._counts.pop(group)) for group in done]

    def put_back(self, denied: list[Denied]) -> None:
        """Restore counts that could not be recorded; a long outage keeps the latest minutes."""
        with self._lock:
            self._not_before = time.monotonic() + MINUTE_SECONDS
            for one in denied:
                if len(self._counts) < MOST_KINDS * 10:
                    self._counts[one.minute, one.reason, one.network] += one.count

    def forget(self) -> None:
        """Remove all counts."""
        with self._lock:
            self._counts.clear()
            self._not_before = 0.0


def _denied(minute: int, reason: str, network: str, count: int) -> Denied:
    event = Event.LIMIT_DENY if reason.startswith("limit") else Event.DOOR_DENY
    return Denied(event, reason, network, minute, count)


_DENIALS: Final = AppSlot[Denials]("audit.denials")


def init_app(app: Flask, _settings: Settings) -> None:
    """Create the counts of the app."""
    _DENIALS.set(app, Denials())


def current() -> Denials:
    """Return the counts of the running app."""
    return _DENIALS.get()
