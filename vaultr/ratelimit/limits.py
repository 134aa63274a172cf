"""Take from, and refund to, the rate limits of the current request."""

import time
from collections.abc import Callable
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


class LimitedAddresses:
    """Addresses that this process rate limited lately: a limited number, for at most a minute.

    Forgetting an address costs one extra read, so when there are too many, all are forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def add(self, address: str, seconds: float) -> None:
        """Store that an address has to wait for this many seconds."""
        if len(self._until) >= MOST_ADDRESSES:
            self._until.clear()
        self._until[address] = self._clock() + min(seconds, MOST_SECONDS)

    def __contains__(self, address: str) -> bool:
        return self._until.get(address, 0.0) > self._clock()


_LIMITED: Final = AppSlot[LimitedAddresses]("ratelimit.limited_addresses")
_ON_DENIED: Final = AppSlot[OnDenied]("ratelimit.on_denied")


def init_app(app: Flask, *, on_denied: OnDenied) -> None:
    """Store what counts a rate-limited request for the audit log."""
    _LIMITED.set(app, LimitedAddresses())
    _ON_DENIED.set(app, on_denied)


def take(*counts: Count) -> None:
    """Count all of ``counts`` or, if one limit is reached, none of them.

    :raises TooMany: with Retry-After. A rejected request costs no hash and no SQL write.
    """
    windows = limiter.current().take(counts)
    full = [window for window in windows if not window.allowed]
    if full:
        report(*(window for window in windows if window.allowed))
        raise too_many(*full)
    report(*windows)


def refund(*counts: Count) -> None:
    """Return what `take` counted, because the attempt succeeded."""
    limiter.current().refund(counts)


def report(*windows: Window) -> None:
    """Add windows to the RateLimit headers of this response; the tightest one is shown."""
    g.setdefault("windows", []).extend(windows)


def counted_elsewhere(window: Window) -> None:
    """Report the counter that counted this request in place of the one for its address."""
    g.pop("uncounted", None)
    report(window)


def too_many(*windows: Window) -> TooMany:
    """Return the error for windows that are full, and count the request as denied."""
    report(*windows)
    longest = max(window.reset for window in windows)
    _LIMITED.get().add(request_context.current_origin().address, longest)
    count_denied()
    return TooMany(headers={"Retry-After": str(longest)})


def limited_lately(address: str) -> bool:
    """Return whether an address has to wait."""
    return address in _LIMITED.get()


def count_denied() -> None:
    """Count this request as rejected by a rate limit."""
    _ON_DENIED.get()("limit")  # the reason in audit events: never rename
