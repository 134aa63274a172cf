"""Sliding-window counters: several counted at once, all or none, on Redis or in this process."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import redis

from vaultr.environ import Rate
from vaultr.limits.lines import Lines


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


def given_back(counts: Sequence[Count]) -> list[Count]:
    """Give what undoes ``counts`` when it is taken; it always fits."""
    return [Count(one.key, one.rate, -one.cost) for one in counts]


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
  if s == slot - 1 then p, c = c, 0 elseif s < slot then p, c = 0, 0 end
  local left = window - now % window
  if cost >= 0 and c + p * left / window + cost > limit then fits = false end
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


def _judged(count: Count, current: int, previous: int, left: int, took: bool) -> Window:
    """Tell how a counter stands from its two slots; ``left`` are milliseconds of the current one.

    A cost of 0 asks without counting: ``reset`` then tells when one more will fit.
    """
    limit, window = count.rate.count, count.rate.seconds * 1000
    used = current + previous * left / window
    wait: float = left
    room = limit - max(1, count.cost)
    if not took and used > room:
        if room < 0:  # more than the limit itself: it will never fit
            wait = left + window
        elif current > room:  # full even once the slot before has faded
            wait = left + window * (1 - room / current)
        else:
            wait = left - window * (room - current) / max(previous, 1)
    fits = took or used + count.cost <= limit
    remaining = max(0, math.floor(limit - used))
    return Window(fits, limit, remaining, max(1, math.ceil(wait / 1000)))


class RedisCounters:
    """Counters shared by all workers and pods: one round trip however many are counted."""

    def __init__(
        self, client: "redis.Redis", prefix: str = "vaultr:limit:", script: str = _TAKE
    ) -> None:
        self._prefix, self._script = prefix, script
        self._lines = Lines(client)

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all or none.

        :raises redis.RedisError: Redis is away, hangs, is full or read-only.
        """
        numbers = [n for c in counts for n in (c.rate.count, c.rate.seconds * 1000, c.cost)]
        rows = self._lines.run(self._script, [self._prefix + c.key for c in counts], numbers)
        windows = []
        for count, row in zip(counts, rows, strict=True):
            current, previous, left, took = (int(number) for number in row.split())
            windows.append(_judged(count, current, previous, left, bool(took and count.cost)))
        return windows


class MemoryCounters:
    """Counters of this process alone, a bounded number of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = 100_000) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        # By key: number of the slot, its hits, those of the slot before, when both are forgotten.
        self._slots: dict[str, tuple[int, int, int, int]] = {}

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all or none; a lock decides between threads."""
        now = int(self._clock() * 1000)
        with self._lock:
            stands = [self._stand(count, now) for count in counts]
            fits = all(
                count.cost < 0
                or current + previous * left / (count.rate.seconds * 1000) + count.cost
                <= count.rate.count
                for count, (_, current, previous, left) in zip(counts, stands, strict=True)
            )
            windows = []
            for count, (slot, current, previous, left) in zip(counts, stands, strict=True):
                after = max(0, current + count.cost) if fits else current
                self._slots.pop(count.key, None)  # to the end: the first is the longest unused
                over = now + left + count.rate.seconds * 1000
                self._slots[count.key] = (slot, after, previous, over)
                windows.append(_judged(count, after, previous, left, bool(fits and count.cost)))
            if len(self._slots) > self._most:
                self._forget(now)
            return windows

    def clear(self) -> None:
        """Forget all counts."""
        with self._lock:
            self._slots.clear()

    def _stand(self, count: Count, now: int) -> tuple[int, int, int, int]:
        slot, into = divmod(now, count.rate.seconds * 1000)
        kept, current, previous, _ = self._slots.get(count.key, (slot, 0, 0, 0))
        if kept == slot - 1:
            previous, current = current, 0
        elif kept < slot:
            previous = current = 0
        return slot, current, previous, count.rate.seconds * 1000 - into

    def _forget(self, now: int) -> None:
        """Make room: what has run out, else the half that was used longest ago."""
        self._slots = {key: kept for key, kept in self._slots.items() if kept[3] > now}
        if len(self._slots) > self._most:
            for key in list(self._slots)[: len(self._slots) - self._most // 2]:
                del self._slots[key]
