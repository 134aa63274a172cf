"""The limits of every request: by session for who is proven, by address for strangers, 404s too."""

from collections.abc import Callable
from dataclasses import replace

from flask import Flask, Response, current_app, g, request

from vaultr import actor
from vaultr.contract import contract_of
from vaultr.edge import PROBES
from vaultr.environ import Rate
from vaultr.errors import TooMany
from vaultr.extensions import limiter
from vaultr.identity import door
from vaultr.limits import guard as guards
from vaultr.limits.counters import Count, Window
from vaultr.limits.guard import Guard
from vaultr.settings import Settings


def init_app(app: Flask, settings: Settings, *, on_denied: Callable[[str], None]) -> None:
    """Count each request before anything is refused for another reason than host or scheme."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else None
    guards.keep(app, Guard(url, settings.web_concurrency))
    app.extensions["vaultr.count_anonymous"] = _count_anonymous
    app.extensions["vaultr.on_limited"] = on_denied
    app.config.update(
        RATELIMIT_STORAGE_URI="vaultr://",
        RATELIMIT_SWALLOW_ERRORS=False,
    )
    app.before_request(_count)
    app.after_request(_headers)
    limiter.init_app(app)
    # Views that carry a limit check it themselves; looking up the limits of all others on every
    # request costs more than counting it. `tests/api/test_limits.py` pins that they still do.
    app.before_request_funcs[None].remove(limiter._check_request_limit)


def guard() -> Guard:
    """Give the counters of the running server."""
    return guards.current()


def take(*counts: Count) -> None:
    """Count all of ``counts`` or, if one does not fit, none of them.

    :raises TooMany: with Retry-After; what is refused costs no hash and no SQL.
    """
    windows = guard().take(counts)
    refused = [window for window in windows if not window.allowed]
    if refused:
        tell(*(window for window in windows if window.allowed))
        raise too_many(*refused)
    tell(*windows)


def tell(*windows: Window) -> None:
    """Let this request's answer tell how counters stand; the tightest is shown."""
    g.setdefault("windows", []).extend(windows)


def too_many(*windows: Window) -> TooMany:
    """Give the refusal for windows that are full, by whomever they are kept, and count it."""
    tell(*windows)
    current_app.extensions["vaultr.on_limited"]("limit")
    return TooMany(headers={"Retry-After": str(max(window.reset for window in windows))})


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
    claims, vault_id = door.claims(), (request.view_args or {}).get("vault_id")
    return f"v:{vault_id.hex}:{claims.account_id.hex}" if claims and vault_id else None


def _count_anonymous() -> None:
    settings: Settings = current_app.config["SETTINGS"]
    take(Count(f"a:{actor.current_origin().address}", settings.limit_anonymous))


def count_more_writes(changes: int) -> None:
    """Count a batch: one write per started 100 changes, and each change of the vault.

    The first change, and the first write, are counted already.
    """
    claims = door.claims()
    if claims is None or changes < 2:
        return
    settings: Settings = current_app.config["SETTINGS"]
    counts = []
    if (more := (changes - 1) // 100) > 0:
        counts.append(Count(f"w:{claims.session_id.hex}", settings.limit_writes, more))
    if (vault := _vault()) is not None:
        counts.append(Count(vault, settings.limit_changes, changes - 1))
    take(*counts)


def _headers(response: Response) -> Response:
    windows: list[Window] = [*g.get("windows", [])]
    if (own := limiter.current_limit) is not None:  # the route's own, counted by Flask-Limiter
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
