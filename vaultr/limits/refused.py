"""Requests that prove themselves by their body: by address they are counted only if refused.

A refresh brings a token, which is looked up by key, and has a counter of its own in its session's
row. So it waits for its view, and what is refused, for whatever reason, is counted when it is
answered. But whoever was refused for a limit lately is counted before anything else is done, so
that a flood costs no SQL at all.
"""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

MOST_ADDRESSES: Final = 10_000
MOST_SECONDS: Final = 60.0

View = TypeVar("View", bound=Callable[..., Any])


def counted_if_refused(view: View) -> View:
    """Let a stranger's request wait for the view, which may say `blanket.counted_elsewhere`."""
    view.counted_if_refused = True  # type: ignore[attr-defined]  # read by the limits
    return view


def is_counted_if_refused(view: object) -> bool:
    """Tell whether a view is one of those."""
    return getattr(view, "counted_if_refused", False)


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
