"""The one way to try something again on the client: how often, and how long to wait in between."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

_RANDOM: Final = secrets.SystemRandom()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often something is tried, with pauses that double and are spread at random.

    :ivar spread: the factors between which each pause is drawn, so that clients do
        not retry together.
    """

    tries: int
    first_pause_seconds: float = 0.0
    longest_pause_seconds: float = 0.0
    spread: tuple[float, float] = (1.0, 1.25)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def attempts(self) -> Iterator["Attempt"]:
        """Yield each attempt; the loop body returns, raises, or lets the next one begin.

        The body must not fall through on the last attempt.
        """
        for number in range(1, self.tries + 1):
            yield Attempt(number, self)
        raise AssertionError("the last attempt must return or raise")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, numbered from 1."""

    number: int
    policy: RetryPolicy

    @property
    def is_last(self) -> bool:
        """Whether no attempt follows."""
        return self.number >= self.policy.tries

    @property
    def pause_seconds(self) -> float:
        """The pause after this attempt, before it is spread."""
        doubled = self.policy.first_pause_seconds * 2.0 ** (self.number - 1)
        return float(min(self.policy.longest_pause_seconds, doubled))

    def wait(self, *, at_least: float = 0.0) -> None:
        """Pause before the next attempt.

        :param at_least: seconds, such as those of a ``Retry-After``; they are spread, too.
        """
        pause = max(at_least, self.pause_seconds)
        self.policy.sleep(pause * _RANDOM.uniform(*self.policy.spread))
