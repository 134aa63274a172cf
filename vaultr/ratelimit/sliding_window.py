"""Counters of a sliding window as arithmetic; where they are kept is their keepers' concern.

A counter holds the hits of the present slot of time, and those of the slot before, whose weight
fades as the present one fills (the approximation that is known as sliding window counter).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vaultr.settings.types import Rate


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


@dataclass(frozen=True, slots=True)
class Slots:
    """What is kept of a counter: the number of a slot of time, its hits, those of the one before.

    Slots are as long as the counter's window, and numbered from the beginning of its clock.
    """

    number: int = 0
    hits: int = 0
    before: int = 0

    def at(self, now: int, rate: Rate) -> tuple["Slots", int]:
        """Move on to ``now``, in milliseconds; give that, and how many the slot has left."""
        number, into = divmod(now, rate.seconds * 1000)
        left = rate.seconds * 1000 - into
        if self.number == number - 1:
            return Slots(number, 0, self.hits), left
        # One ahead is another machine's clock; more is a window of another length.
        if number <= self.number <= number + 1:
            return Slots(number, self.hits, self.before), left
        return Slots(number), left

    def fits(self, rate: Rate, cost: int, left: int) -> bool:
        """Check whether so much more can be counted; what is given back always can."""
        return cost < 0 or self.hits + self.before * left / (rate.seconds * 1000) + cost <= (
            rate.count
        )

    def plus(self, cost: int) -> "Slots":
        """Count so much more, or less."""
        return Slots(self.number, max(0, self.hits + cost), self.before)


def given_back(counts: Sequence[Count]) -> list[Count]:
    """Return what undoes ``counts`` when it is taken; it always fits."""
    return [Count(one.key, one.rate, -one.cost) for one in counts]


def counted(kept: Slots, rate: Rate, now: int) -> tuple[Slots, Window]:
    """Count one more, if it fits; whoever keeps the slots decides between two who do this at once.

    :param now: in milliseconds, by a clock that all who count here share.
    """
    stand, left = kept.at(now, rate)
    fits = stand.fits(rate, 1, left)
    after = stand.plus(1) if fits else stand
    return after, judged(rate, 1, after, left, took=fits)


def judged(rate: Rate, cost: int, slots: Slots, left: int, *, took: bool) -> Window:
    """Return how a counter stands from its two slots; ``left`` are milliseconds of the present one.

    A cost of 0 asks without counting: ``reset`` then tells when one more will fit.
    """
    limit, window = rate.count, rate.seconds * 1000
    used = slots.hits + slots.before * left / window
    wait: float = left
    room = limit - max(1, cost)
    if not took and used > room:
        if room < 0:  # more than the limit itself: it will never fit
            wait = left + window
        elif slots.hits > room:  # full even once the slot before has faded
            wait = left + window * (1 - room / slots.hits)
        else:
            wait = left - window * (room - slots.hits) / max(slots.before, 1)
    fits = took or used + cost <= limit
    remaining = max(0, math.floor(limit - used))
    return Window(fits, limit, remaining, max(1, math.ceil(wait / 1000)))
