"""Views that count a stranger's request themselves, with a limit of their own: one trip to Redis.

A refresh has two counters: its address's, and its session's, which is known only once the token was
looked up. Counted apart they are two trips, and each costs as much as the look-up. So such a
request waits for its view, and what ends before that is counted when it is answered. Looking up is
a read by key; but whoever was refused lately is counted before anything else is done, so that a
flood costs no SQL at all.
"""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

MOST_ADDRESSES: Final = 10_000
MOST_SECONDS: Final = 60.0

View = TypeVar("View", bound=Callable[..., Any])


def counted_late(view: View) -> View:
    """Let the view's own `blanket.take` count the request; it may read before, and no more."""
    view.counted_late = True  # type: ignore[attr-defined]  # read by the limits
    return view


def is_counted_late(view: object) -> bool:
    """Tell whether a view is one of those."""
    return getattr(view, "counted_late", False)


class Refused:
    """The addresses that this process refused lately; a bounded number, for a minute at most.

    Forgetting one costs a read more. So when there are too many, all are forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def note(self, address: str, seconds: float) -> None:
        """Remember that an address was told to wait so many seconds."""
        if len(self._until) >= MOST_ADDRESSES:
            self._until.clear()
        self._until[address] = self._clock() + min(seconds, MOST_SECONDS)

    def lately(self, address: str) -> bool:
        """Tell whether an address is still to wait."""
        return self._until.get(address, 0.0) > self._clock()
