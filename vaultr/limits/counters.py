"""Sliding-window counters: several counted at once, all or none, on Redis or in this process."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import redis

from vaultr.environ import Rate


@dataclass(frozen=True, slots=True)
class Count:
    """One thing to count: at most ``rate.count`` under ``key`` in any ``rate.seconds``."""

    key: str
    rate: Rate
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """How a counter stands: whether the cost fitted, what is left, seconds until there is more."""

    allowed: bool
    limit: int
    remaining: int
    reset: int


class Counters(Protocol):
    """Where counts are kept."""

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all of them, or, if one does not fit, none."""

    def refund(self, counts: Sequence[Count]) -> None:
        """Give back what `take` counted."""


# A counter is a hash of the current slot's number, its hits, and the hits of the slot before;
# the weight of the latter fades as the current slot fills (the approximation that is known as
# sliding window counter). Redis' own clock, so that servers need not agree on the time.
_TAKE = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local out, fits, state = {}, true, {}
for i, key in ipairs(KEYS) do
  local limit, window, cost = tonumber(ARGV[i*3-2]), tonumber(ARGV[i*3-1]), tonumber(ARGV[i*3])
  local slot = math.floor(now / window)
  local kept = redis.call('HMGET', key, 's', 'c', 'p')
  local s, c, p = tonumber(kept[1] or slot), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
  if s == slot - 1 then p, c = c, 0 elseif s ~= slot then p, c = 0, 0 end
  local left = window - now % window
  if c + p * left / window + cost > limit then fits = false end
  state[i] = {slot, c, p, left, limit, window, cost}
end
for i, key in ipairs(KEYS) do
  local slot, c, p, left, limit, window, cost = unpack(state[i])
  if fits then
    c = math.max(0, c + cost)
    redis.call('HSET', key, 's', slot, 'c', c, 'p', p)
    redis.call('PEXPIRE', key, left + window)
  end
  out[i] = string.format('%d %d %d %d', c, p, left, fits and 1 or 0)
end
return out
"""


def _judged(count: Count, current: float, previous: float, left: float, took: bool) -> Window:
    """Tell how a counter stands from its two slots; ``left`` is in seconds."""
    rate = count.rate
    used = current + previous * left / rate.seconds
    fits = took or used + count.cost <= rate.count
    remaining = max(0, math.floor(rate.count - used))
    wait = left
    if not fits:
        room = rate.count - count.cost
        if current > room:  # full even once the slot before has faded
            wait = left + rate.seconds * (1 - max(0, room) / current)
        else:
            wait = left - rate.seconds * max(0.0, room - current) / max(previous, 1)
    return Window(fits, rate.count, remaining, max(1, math.ceil(wait)))


class RedisCounters:
    """Counters shared by all workers and pods: one round trip however many are counted."""

    def __init__(self, client: "redis.Redis", prefix: str = "vaultr:limit:") -> None:
        self._prefix = prefix
        self._take = client.register_script(_TAKE)

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all or none.

        :raises redis.RedisError: Redis is away, hangs, is full or read-only.
        """
        numbers = [n for c in counts for n in (c.rate.count, c.rate.seconds * 1000, c.cost)]
        rows = self._take(keys=[self._prefix + c.key for c in counts], args=numbers)
        windows = []
        for count, row in zip(counts, rows, strict=True):
            current, previous, left, took = (int(number) for number in row.split())
            windows.append(_judged(count, current, previous, left / 1000, bool(took)))
        return windows

    def refund(self, counts: Sequence[Count]) -> None:
        """Give back what was taken."""
        self.take([Count(c.key, c.rate, -c.cost) for c in counts])


class MemoryCounters:
    """Counters of this process alone, a bounded number of them."""

    _MOST = 100_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[str, tuple[int, float, float]] = {}

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all or none; a lock decides between threads."""
        now = self._clock()
        with self._lock:
            if len(self._slots) > self._MOST:
                self._forget(now)
            stands = [self._stand(count, now) for count in counts]
            fits = all(
                current + previous * left / count.rate.seconds + count.cost <= count.rate.count
                for count, (_, current, previous, left) in zip(counts, stands, strict=True)
            )
            windows = []
            for count, (slot, current, previous, left) in zip(counts, stands, strict=True):
                after = max(0.0, current + count.cost) if fits else current
                if fits:
                    self._slots[count.key] = (slot, after, previous)
                windows.append(_judged(count, after, previous, left, fits))
            return windows

    def refund(self, counts: Sequence[Count]) -> None:
        """Give back what was taken."""
        self.take([Count(c.key, c.rate, -c.cost) for c in counts])

    def clear(self) -> None:
        """Forget all counts."""
        with self._lock:
            self._slots.clear()

    def _stand(self, count: Count, now: float) -> tuple[int, float, float, float]:
        seconds = count.rate.seconds
        slot = int(now // seconds)
        kept, current, previous = self._slots.get(count.key, (slot, 0.0, 0.0))
        if kept == slot - 1:
            previous, current = current, 0.0
        elif kept != slot:
            previous = current = 0.0
        return slot, current, previous, seconds - now % seconds

    def _forget(self, _now: float) -> None:
        # Oldest first: a dict keeps the order of first use, and a counter in use comes again soon.
        for key in list(self._slots)[: self._MOST // 2]:
            del self._slots[key]
