"""The arithmetic of sliding-window counters, wherever they are stored.

A counter stores the hits of the current time slot and of the previous one. While the current slot
passes, the weight of the previous slot falls from 1 to 0. This is the approximation known as
sliding window counter.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vaultr.settings.types import Rate


@dataclass(frozen=True, slots=True)
class Count:
    """A use to count: at most ``rate.count`` under ``key`` in any ``rate.seconds``.

    :ivar slot: the slot in which it was counted. A refund applies only to that slot, so that it
        never cancels later counts.
    """

    key: str
    rate: Rate
    cost: int = 1
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """The state of a counter: whether the request is allowed, what is left, seconds to wait."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class Slots:
    """A stored counter: number and hits of the current time slot, hits of the previous one.

    A slot is as long as the counter's window; slots are numbered from the start of the clock.
    """

    number: int = 0
    hits: int = 0
    before: int = 0

    def advance(self, now: int, rate: Rate) -> tuple["Slots", int]:
        """Return the counter at ``now``, and the time left of its slot, in milliseconds."""
        number, into = divmod(now, rate.seconds * 1000)
        left = rate.seconds * 1000 - into
        if self.number == number - 1:
            return Slots(number, 0, self.hits), left
        # One slot ahead means that another machine's clock is fast; more means another window
        # length.
        if number <= self.number <= number + 1:
            return Slots(number, self.hits, self.before), left
        return Slots(number), left

    def fits(self, rate: Rate, cost: int, left: int) -> bool:
        """Return whether ``cost`` is within the limit; a refund always is."""
        return cost < 0 or self.hits + self.before * left / (rate.seconds * 1000) + cost <= (
            rate.count
        )

    def add(self, cost: int, slot: int | None = None) -> "Slots":
        """Return the slots after adding ``cost`` hits, which may be negative, to ``slot``."""
        if slot is None or slot == self.number:
            return Slots(self.number, max(0, self.hits + cost), self.before)
        if slot == self.number - 1:
            return Slots(self.number, self.hits, max(0, self.before + cost))
        return self


def refund_of(counts: Sequence[Count]) -> list[Count]:
    """Return the counts that undo ``counts``."""
    return [replace(count, cost=-count.cost) for count in counts]


def count_one(stored: Slots, rate: Rate, now: int) -> tuple[Slots, Window]:
    """Count one hit if the limit allows; the caller must serialise access to ``stored``.

    :param now: in milliseconds, by a clock that all callers share.
    """
    current, left = stored.advance(now, rate)
    fits = current.fits(rate, 1, left)
    after = current.add(1) if fits else current
    return after, window_of(rate, 1, after, left, took=fits)


def window_of(rate: Rate, cost: int, slots: Slots, left: int, *, took: bool) -> Window:
    """Return the state of a counter; ``left`` is the milliseconds left of its current slot.

    A cost of 0 only reads the counter: ``reset`` is then the time until one more is allowed.
    """
    limit, window = rate.count, rate.seconds * 1000
    used = slots.hits + slots.before * left / window
    wait: float = left
    room = limit - max(1, cost)
    if not took and used > room:
        if room < 0:  # more than the limit itself: never allowed
            wait = left + window
        elif slots.hits > room:  # full even after the previous slot has expired
            wait = left + window * (1 - room / slots.hits)
        else:  # until the weight of the previous slot has fallen enough
            wait = left - window * (room - slots.hits) / max(slots.before, 1)
    fits = took or used + cost <= limit
    remaining = max(0, math.floor(limit - used))
    return Window(fits, limit, remaining, max(1, math.ceil(wait / 1000)), slots.number)
