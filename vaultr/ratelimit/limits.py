"""Take from, and refund to, the rate limits of the current request."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from flask import Flask, g

from vaultr import request_context
from vaultr.app_state import AppSlot
from vaultr.errors import TooMany
from vaultr.ratelimit import limiter
from vaultr.ratelimit.sliding_window import Count, Window

MOST_ADDRESSES: Final = 10_000
MOST_SECONDS: Final = 60.0

OnDenied = Callable[[str], None]


class RecentlyLimited:
    """Keys that this process rate limited recently: a bounded number, for at most a minute.

    Forgetting a key costs only one more read of its counter. So if there are too many keys, all are
    removed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full: dict[str, tuple[float, int]] = {}  # until when, and the limit

    def add(self, key: str, seconds: float, limit: int = 0) -> None:
        """Record that the limit of a key is used up for this many seconds."""
        if len(self._full) >= MOST_ADDRESSES:
            self.clear()
        self._full[key] = (self._clock() + min(seconds, MOST_SECONDS), limit)

    def window(self, key: str) -> Window | None:
        """Return the full window of a key, or None if it was not limited recently."""
        until, limit = self._full.get(key, (0.0, 0))
        left = until - self._clock()
        if left <= 0:
            return None
        return Window(allowed=False, limit=limit, remaining=0, reset=math.ceil(left))

    def clear(self) -> None:
        """Forget all keys."""
        self._full.clear()

    def __contains__(self, key: str) -> bool:
        return self.window(key) is not None


_LIMITED: Final = AppSlot[RecentlyLimited]("ratelimit.limited_addresses")
_FULL: Final = AppSlot[RecentlyLimited]("ratelimit.full_counters")
_ON_DENIED: Final = AppSlot[OnDenied]("ratelimit.on_denied")


def init_app(app: Flask, *, on_denied: OnDenied) -> None:
    """Set the function that counts a rate-limited request for the audit log."""
    _LIMITED.set(app, RecentlyLimited())
    _FULL.set(app, RecentlyLimited())
    _ON_DENIED.set(app, on_denied)


def take(*counts: Count) -> list[Count]:
    """Count all of ``counts``, or none if a limit is reached.

    :return: the counts for `refund`; each one names the slot in which it was counted.
    :raises TooMany: with Retry-After. A rejected request causes no password hash and no SQL write.
    """
    windows = limiter.current().take(counts)
    full = [window for window in windows if not window.allowed]
    if full:
        for count, window in zip(counts, windows, strict=True):
            if not window.allowed and count.cost == 1:
                _FULL.get().add(count.key, window.reset, window.limit)
        report(*(window for window in windows if window.allowed))
        raise too_many(*full)
    report(*windows)
    return [replace(count, slot=window.slot) for count, window in zip(counts, windows, strict=True)]


def reject_full(*keys: str) -> None:
    """Reject the request if a counter was full recently, without asking Redis or the database.

    :raises TooMany: this process found one of the counters full, and its window is not over.
    """
    full = [window for key in keys if (window := _FULL.get().window(key)) is not None]
    if full:
        raise too_many(*full)


def refund(*counts: Count) -> None:
    """Undo the counts that `take` returned, because the attempt succeeded."""
    limiter.current().refund(counts)


def report(*windows: Window) -> None:
    """Add windows to the RateLimit headers of this response; the tightest one is shown."""
    g.setdefault("windows", []).extend(windows)


def counted_elsewhere(window: Window) -> None:
    """Report the counter that counted this request instead of its address's counter."""
    g.pop("uncounted", None)
    report(window)


def too_many(*windows: Window) -> TooMany:
    """Return the error for full windows, and count the request as denied."""
    report(*windows)
    longest = max(window.reset for window in windows)
    _LIMITED.get().add(request_context.current_origin().address, longest)
    count_denied()
    return TooMany(headers={"Retry-After": str(longest)})


def limited_lately(address: str) -> bool:
    """Return whether an address was rate limited recently."""
    return address in _LIMITED.get()


def forget_full() -> None:
    """Forget all keys and addresses that were rate limited."""
    _LIMITED.get().clear()
    _FULL.get().clear()


def count_denied() -> None:
    """Count this request as rejected by a rate limit."""
    _ON_DENIED.get()("limit")  # the reason in audit events: never rename
