"""The limits of every request: by session for who is proven, by address for strangers, 404s too."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar, cast

from flask import Flask, Response, current_app, g, request

from vaultr import request_context
from vaultr.api import problems
from vaultr.api.contract import contract_of
from vaultr.api.security_headers import PROBES
from vaultr.errors import TooMany
from vaultr.extensions import limiter
from vaultr.ratelimit import limiter as guards
from vaultr.ratelimit.limiter import Guard
from vaultr.ratelimit.sliding_window import Count, Window
from vaultr.security import authentication
from vaultr.settings.model import Settings
from vaultr.settings.types import Rate

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


_REFUSED = "vaultr.refused_lately"


def init_app(app: Flask, settings: Settings, *, on_denied: Callable[[str], None]) -> None:
    """Count each request before anything is refused for another reason than host or scheme."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else None
    guards.keep(app, Guard(url, settings.web_concurrency))
    app.extensions["vaultr.count_anonymous"] = _count_anonymous
    app.extensions["vaultr.on_limited"] = on_denied
    app.extensions[_REFUSED] = Refused()
    app.config.update(
        RATELIMIT_STORAGE_URI="vaultr://",
        RATELIMIT_SWALLOW_ERRORS=False,
    )
    app.before_request(_count)
    app.after_request(_headers)
    # Views that carry a limit of Flask-Limiter's check it themselves; what it would do around every
    # request, whatever its view, costs more than counting it. `tests/api/test_limits.py` pins that.
    hooks: tuple[dict[Any, list[Any]], ...] = (
        app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs,
    )  # fmt: skip
    ours = [list(hook[None]) for hook in hooks]
    limiter.init_app(app)
    for hook, functions in zip(hooks, ours, strict=True):
        hook[None] = functions


def guard() -> Guard:
    """Give the counters of the running server."""
    return guards.current()


def take(*counts: Count) -> None:
    """Count all of ``counts`` or, if one does not fit, none of them.

    :raises TooMany: with Retry-After; what is refused costs no hash and no SQL write.
    """
    windows = guard().take(counts)
    refused = [window for window in windows if not window.allowed]
    if refused:
        tell(*(window for window in windows if window.allowed))
        raise too_many(*refused)
    tell(*windows)


def counted_elsewhere(window: Window) -> None:
    """Tell that this request proved itself, and how the counter stands that counts it instead."""
    g.pop("uncounted", None)
    tell(window)


def tell(*windows: Window) -> None:
    """Let this request's answer tell how counters stand; the tightest is shown."""
    g.setdefault("windows", []).extend(windows)


def too_many(*windows: Window) -> TooMany:
    """Give the refusal for windows that are full, by whomever they are kept, and count it."""
    tell(*windows)
    longest = max(window.reset for window in windows)
    _refused().note(request_context.current_origin().address, longest)
    current_app.extensions["vaultr.on_limited"]("limit")
    return TooMany(headers={"Retry-After": str(longest)})


def refund(*counts: Count) -> None:
    """Give back what `take` counted, because the attempt was a good one."""
    guard().refund(counts)


def by_address(rate: Callable[[Settings], Rate]) -> Callable[[], str]:
    """Give a limit for ``@limiter.limit``: so many requests to the route from one address."""

    def limit() -> str:
        g.counted_by_extension = True
        chosen = rate(current_app.config["SETTINGS"])
        return f"{chosen.count} per {chosen.seconds} second"

    return limit


def _count() -> None:
    if request.path in PROBES:
        return
    claims = authentication.claims()
    if claims is None:
        _count_stranger()
        return
    settings: Settings = current_app.config["SETTINGS"]
    if not _writes():
        take(Count(f"r:{claims.session_id.hex}", settings.limit_reads))
        return
    counts = [Count(f"w:{claims.session_id.hex}", settings.limit_writes)]
    if (vault := _vault()) is not None:
        counts.append(Count(vault, settings.limit_changes))
    take(*counts)


def _writes() -> bool:
    contract = contract_of(current_app.view_functions.get(request.endpoint or ""))
    return contract is not None and contract.access == "write"


def _vault() -> str | None:
    """Name the vault that is written to, as this account sees it: it may be another's."""
    claims, vault_id = authentication.claims(), (request.view_args or {}).get("vault_id")
    return f"v:{vault_id.hex}:{claims.account_id.hex}" if claims and vault_id else None


def _count_stranger() -> None:
    waits = is_counted_if_refused(current_app.view_functions.get(request.endpoint or ""))
    if waits and not _refused().lately(request_context.current_origin().address):
        g.uncounted = True
    else:
        _count_anonymous()


def _count_anonymous() -> None:
    settings: Settings = current_app.config["SETTINGS"]
    take(Count(f"a:{request_context.current_origin().address}", settings.limit_anonymous))


def _refused() -> Refused:
    return cast(Refused, current_app.extensions[_REFUSED])


def count_more_writes(changes: int) -> None:
    """Count a batch: one write per started 100 changes, and each change of the vault.

    The first change, and the first write, are counted already.
    """
    claims = authentication.claims()
    if claims is None or changes < 2:
        return
    settings: Settings = current_app.config["SETTINGS"]
    counts = []
    if (more := (changes - 1) // 100) > 0:
        counts.append(Count(f"w:{claims.session_id.hex}", settings.limit_writes, more))
    if (vault := _vault()) is not None:
        counts.append(Count(vault, settings.limit_changes, changes - 1))
    take(*counts)


def _counted_after_all(response: Response) -> Response:
    """Count a request that proved nothing: refused for another reason, or failed."""
    try:
        _count_anonymous()
    except TooMany as refusal:
        return problems.answer(refusal)
    return response


def _headers(response: Response) -> Response:
    if "uncounted" in g:
        response = _counted_after_all(response)
    windows: list[Window] = [*g.get("windows", [])]
    # The route's own, counted by Flask-Limiter.
    if "counted_by_extension" in g and (own := limiter.current_limit) is not None:
        rate = Rate(own.limit.amount, own.limit.get_expiry())
        window = guard().take([Count(own.key, rate, 0)])[0]
        windows.append(replace(window, allowed=not own.breached))
        if own.breached:
            current_app.extensions["vaultr.on_limited"]("limit")
    if windows:
        tightest = min(windows, key=lambda window: (window.allowed, window.remaining))
        response.headers["RateLimit-Limit"] = str(tightest.limit)
        response.headers["RateLimit-Remaining"] = str(tightest.remaining)
        response.headers["RateLimit-Reset"] = str(tightest.reset)
        if response.status_code == 429:
            response.headers.setdefault("Retry-After", str(tightest.reset))
    return response
