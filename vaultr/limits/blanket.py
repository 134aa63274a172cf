"""The limits of every request: by session for who is proven, by address for strangers, 404s too."""

import time
from collections.abc import Callable
from typing import cast

from flask import Flask, Response, current_app, g, request

from vaultr import actor
from vaultr.edge import PROBES
from vaultr.environ import Rate
from vaultr.errors import TooMany
from vaultr.extensions import limiter
from vaultr.identity import door
from vaultr.limits.counters import Count, Window
from vaultr.limits.guard import Guard
from vaultr.operation import contract_of
from vaultr.settings import Settings

_GUARD = "vaultr.limits"


def init_app(app: Flask, settings: Settings, *, on_denied: Callable[[str], None]) -> None:
    """Count each request before anything is refused for another reason than host or scheme."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else None
    guard = Guard(url, settings.web_concurrency)
    app.extensions[_GUARD] = guard
    app.extensions["vaultr.count_anonymous"] = _count_anonymous
    app.extensions["vaultr.on_limited"] = on_denied
    app.config.update(
        RATELIMIT_STORAGE_URI="vaultr://",
        RATELIMIT_STORAGE_OPTIONS={"guard": guard},
        RATELIMIT_SWALLOW_ERRORS=False,
    )
    app.before_request(_count)
    app.after_request(_headers)
    limiter.init_app(app)


def guard() -> Guard:
    """Give the counters of the running server."""
    return cast(Guard, current_app.extensions[_GUARD])


def take(*counts: Count) -> None:
    """Count all of ``counts`` or, if one does not fit, none of them.

    :raises TooMany: with Retry-After; what is refused costs no hash and no SQL.
    """
    windows = guard().take(counts)
    g.setdefault("windows", []).extend(windows)
    refused = [window for window in windows if not window.allowed]
    if refused:
        current_app.extensions["vaultr.on_limited"]("limit")
        wait = max(window.reset for window in refused)
        raise TooMany(headers={"Retry-After": str(wait)})


def refund(*counts: Count) -> None:
    """Give back what `take` counted, because the attempt was a good one."""
    guard().refund(counts)


def by_address(rate: Callable[[Settings], Rate]) -> Callable[[], str]:
    """Give a limit for ``@limiter.limit``: so many requests to the route from one address."""

    def limit() -> str:
        chosen = rate(current_app.config["SETTINGS"])
        return f"{chosen.count} per {chosen.seconds} second"

    return limit


def _count() -> None:
    if request.path in PROBES:
        return
    claims = door.claims()
    if claims is None:
        _count_anonymous()
        return
    settings: Settings = current_app.config["SETTINGS"]
    view = current_app.view_functions.get(request.endpoint or "")
    contract = contract_of(view)
    writes = contract is not None and contract.access == "write"
    rate = settings.limit_writes if writes else settings.limit_reads
    take(Count(f"{'w' if writes else 'r'}:{claims.session_id.hex}", rate))


def _count_anonymous() -> None:
    settings: Settings = current_app.config["SETTINGS"]
    take(Count(f"a:{actor.current_origin().address}", settings.limit_anonymous))


def count_more_writes(changes: int) -> None:
    """Count a batch: one write per started 100 changes, the first of which is counted already."""
    claims = door.claims()
    more = (changes - 1) // 100
    if claims is not None and more > 0:
        settings: Settings = current_app.config["SETTINGS"]
        take(Count(f"w:{claims.session_id.hex}", settings.limit_writes, more))


def _headers(response: Response) -> Response:
    windows: list[Window] = g.get("windows", [])
    broken = limiter.current_limit
    if broken is not None and broken.breached:
        wait = max(1, round(broken.reset_at - time.time()))
        windows = [Window(False, broken.limit.amount, 0, wait)]
    if windows:
        tightest = min(windows, key=lambda window: (window.allowed, window.remaining))
        response.headers["RateLimit-Limit"] = str(tightest.limit)
        response.headers["RateLimit-Remaining"] = str(tightest.remaining)
        response.headers["RateLimit-Reset"] = str(tightest.reset)
        if response.status_code == 429:
            response.headers.setdefault("Retry-After", str(tightest.reset))
    return response
