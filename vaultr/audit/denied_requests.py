"""Requests that the door or a limit refuses, counted by minute: no stranger can fill the disk."""

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
# Of one process and minute; what comes from yet other networks is counted as from "other".
MOST_KINDS = 32
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Denied:
    """So many requests that were refused within one minute, for one reason, from one network."""

    event: Event
    reason: str
    network: str
    minute: int
    count: int


class Denials:
    """What this process refused and has not recorded yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str, str]] = Counter()
        self._not_before = 0.0

    def count(self, reason: str, network: str) -> None:
        """Count one refused request; costs no I/O and bounded memory."""
        minute = int(time.time()) // MINUTE_SECONDS
        with self._lock:
            key = (minute, reason, network)
            known = key in self._counts
            if not known and sum(1 for one in self._counts if one[0] == minute) >= MOST_KINDS:
                key = (minute, reason, OTHER)
            self._counts[key] += 1

    def due(self) -> bool:
        """Tell whether a minute is over of which something waits to be recorded."""
        if not self._counts or time.monotonic() < self._not_before:
            return False
        minute = int(time.time()) // MINUTE_SECONDS
        with self._lock:
            return any(one[0] < minute for one in self._counts)

    def take(self, *, all_of_them: bool = False) -> list[Denied]:
        """Take out what was counted in minutes that are over (or until now)."""
        minute = int(time.time()) // MINUTE_SECONDS
        with self._lock:
            done = [one for one in self._counts if all_of_them or one[0] < minute]
            return [_denied(*one, self._counts.pop(one)) for one in done]

    def put_back(self, denied: list[Denied]) -> None:
        """Keep what could not be recorded; only the latest minutes of a long outage are kept."""
        with self._lock:
            self._not_before = time.monotonic() + MINUTE_SECONDS
            for one in denied:
                if len(self._counts) < MOST_KINDS * 10:
                    self._counts[one.minute, one.reason, one.network] += one.count

    def forget(self) -> None:
        """Be empty."""
        with self._lock:
            self._counts.clear()
            self._not_before = 0.0


def _denied(minute: int, reason: str, network: str, count: int) -> Denied:
    event = Event.LIMIT_DENY if reason.startswith("limit") else Event.DOOR_DENY
    return Denied(event, reason, network, minute, count)


_DENIALS: Final = AppSlot[Denials]("audit.denials")


def init_app(app: Flask, _settings: Settings) -> None:
    """Give the app its counts."""
    _DENIALS.set(app, Denials())


def current() -> Denials:
    """Give the counts of the running app."""
    return _DENIALS.get()
