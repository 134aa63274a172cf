"""Sliding-window counters, in Redis or in this process. Several are counted together, or none."""

import threading
import time
from collections.abc import Callable, Sequence

import redis

from vaultr.ratelimit.redis_scripts import ScriptRunner
from vaultr.ratelimit.sliding_window import Count, Slots, Window, window_of

# A counter is a hash with the fields of `sliding_window.Slots`, counted by the same algorithm. It
# uses the clock of Redis, so the clocks of servers need not agree.
_TAKE = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local out, fits, state = {}, true, {}
for i, key in ipairs(KEYS) do
  local limit, window = tonumber(ARGV[i*4-3]), tonumber(ARGV[i*4-2])
  local cost, at = tonumber(ARGV[i*4-1]), tonumber(ARGV[i*4])
  local slot = math.floor(now / window)
  local kept = redis.call('HMGET', key, 's', 'c', 'p')
  local s, c, p = tonumber(kept[1] or slot), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
  if s == slot - 1 then p, c = c, 0 elseif s < slot then p, c = 0, 0 end
  local left = window - now % window
  if cost >= 0 and c + p * left / window + cost > limit then fits = false end
  state[i] = {slot, c, p, left, window, cost, at}
end
for i, key in ipairs(KEYS) do
  local slot, c, p, left, window, cost, at = unpack(state[i])
  if fits then
    if at < 0 or at == slot then c = math.max(0, c + cost)
    elseif at == slot - 1 then p = math.max(0, p + cost) end
    redis.call('HSET', key, 's', slot, 'c', c, 'p', p)
    redis.call('PEXPIRE', key, left + window)
  end
  out[i] = string.format('%d %d %d %d %d', slot, c, p, left, fits and 1 or 0)
end
return out
"""


class RedisCounters:
    """Counters that all workers and pods share; takes one round trip for any number of counters."""

    def __init__(
        self, client: "redis.Redis", prefix: str = "vaultr:limit:", script: str = _TAKE
    ) -> None:
        self._prefix, self._script = prefix, script
        self._scripts = ScriptRunner(client)

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all of ``counts``, or none.

        :raises redis.RedisError: Redis is unavailable, hangs, is full or read-only.
        """
        numbers = [
            number
            for count in counts
            for number in (
                count.rate.count,
                count.rate.seconds * 1000,
                count.cost,
                -1 if count.slot is None else count.slot,
            )
        ]
        rows = self._scripts.run(self._script, [self._prefix + c.key for c in counts], numbers)
        windows = []
        for count, row in zip(counts, rows, strict=True):
            slot, hits, before, left, took = (int(number) for number in row.split())
            stored, took = Slots(slot, hits, before), took and count.cost
            windows.append(window_of(count.rate, count.cost, stored, left, took=bool(took)))
        return windows


class MemoryCounters:
    """Counters of this process, with a limit on their number."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = 100_000) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._slots: dict[str, tuple[Slots, int]] = {}  # by key, each with the time of its expiry

    def take(self, counts: Sequence[Count]) -> list[Window]:
        """Count all of ``counts``, or none; thread-safe."""
        now = int(self._clock() * 1000)
        with self._lock:
            states = [self._stored(count.key).advance(now, count.rate) for count in counts]
            fits = all(
                slots.fits(count.rate, count.cost, left)
                for count, (slots, left) in zip(counts, states, strict=True)
            )
            windows = []
            for count, (slots, left) in zip(counts, states, strict=True):
                after = slots.add(count.cost, count.slot) if fits else slots
                self._slots.pop(count.key, None)  # to the end
                self._slots[count.key] = (after, now + left + count.rate.seconds * 1000)
                took = bool(fits and count.cost)
                windows.append(window_of(count.rate, count.cost, after, left, took=took))
            if len(self._slots) > self._most:
                self._forget(now)
            return windows

    def clear(self) -> None:
        """Delete all counters."""
        with self._lock:
            self._slots.clear()

    def _stored(self, key: str) -> Slots:
        return self._slots.get(key, (Slots(), 0))[0]

    def _forget(self, now: int) -> None:
        """Delete expired counters or, if that is not enough, the least recently used half."""
        self._slots = {key: stored for key, stored in self._slots.items() if stored[1] > now}
        if len(self._slots) > self._most:
            for key in list(self._slots)[: len(self._slots) - self._most // 2]:
                del self._slots[key]
