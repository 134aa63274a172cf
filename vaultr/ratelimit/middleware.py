"""Rate limits of every request: by session if it is authenticated, otherwise by client address.

Each counter has a verified key: a session or account from a signed token, or the address of the
connection. An id in a path or body is never a key, because made-up ids would fill Redis.

A refresh is authenticated by the token in its body, and counted in the row of its session. So a
view with `counted_if_rejected` runs first, and the request is counted by address only if the view
rejects it. If its address was limited recently, the request is counted before the view, so that a
flood costs no SQL.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from flask import Flask, Response, g, request

from vaultr import request_context
from vaultr.api import problems
from vaultr.api.contract import PROBE_PATHS, current_contract, current_view
from vaultr.errors import TooMany
from vaultr.extensions import limiter as flask_limiter
from vaultr.ratelimit import limiter, limits, parallel
from vaultr.ratelimit.limits import take
from vaultr.ratelimit.sliding_window import Count, Window
from vaultr.security import authentication
from vaultr.security.access_tokens import Claims
from vaultr.settings.model import Settings, current_settings
from vaultr.settings.types import Rate

View = TypeVar("View", bound=Callable[..., Any])


def init_app(app: Flask, settings: Settings, *, on_denied: Callable[[str], None]) -> None:
    """Count each request before anything except host and scheme can reject it."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else None
    authorities = settings.redis_ca or settings.private_ca
    limiter.init_app(app, limiter.FallbackLimiter(url, settings.web_concurrency, authorities))
    limits.init_app(app, on_denied=on_denied)
    parallel.init_app(app, settings)
    app.config.update(
        RATELIMIT_STORAGE_URI="vaultr://",
        RATELIMIT_SWALLOW_ERRORS=False,
    )
    app.before_request(_count)
    app.after_request(_add_headers)
    # Flask-Limiter checks its limits within the view. Its hooks around every request would take
    # longer than counting the request. `tests/api/test_rate_limits.py` pins that.
    hooks: tuple[dict[Any, list[Any]], ...] = (
        app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs,
    )  # fmt: skip
    own_hooks = [list(hook[None]) for hook in hooks]
    flask_limiter.init_app(app)
    for hook, functions in zip(hooks, own_hooks, strict=True):
        hook[None] = functions


def counted_if_rejected(view: View) -> View:
    """Count an anonymous request of this view only if the view rejects it.

    The view calls `limits.counted_elsewhere` if the request is authenticated.
    """
    view.counted_if_rejected = True  # type: ignore[attr-defined]  # read by `_counts_later`
    return view


def by_address(rate: Callable[[Settings], Rate]) -> Callable[[], str]:
    """Return a limit for ``@limiter.limit``: requests to the route from one address."""

    def limit() -> str:
        g.counted_by_extension = True
        chosen = rate(current_settings())
        return f"{chosen.count} per {chosen.seconds} second"

    return limit


def session_ended() -> None:
    """Count the request of a dead session as anonymous; its response is 401.

    The count for its session remains.

    :raises TooMany: the client address has reached its limit.
    """
    if authentication.forget_session():
        _count_anonymous()
        authentication.count_denied()


def count_more_writes(changes: int) -> None:
    """Count a batch as one write per 100 changes, rounded up; the first is already counted."""
    claims = authentication.claims()
    if claims is not None and (more := (changes - 1) // 100) > 0:
        take(*_counts(claims, current_settings().limit_writes, more))


def _count() -> None:
    if request.path in PROBE_PATHS:
        return
    claims = authentication.claims()
    if claims is None:
        # Browsers load a page and all its assets at the same time, so each asset would use up the
        # limit.
        if current_contract() is not None:
            parallel.take_of_address(request_context.current_origin().address)
        if _counts_later():
            g.uncounted = True
        else:
            _count_anonymous()
        return
    settings = current_settings()
    take(*_counts(claims, settings.limit_writes if _is_write() else settings.limit_reads))


def check_session(claims: Claims) -> None:
    """Reject a request of a session or account over its limit, before the session is looked up.

    :raises TooMany: this process found the limit used up, and its window is not over; or the
        maximum number of requests of the account is running.
    """
    limits.reject_full(*_keys(claims))
    parallel.take_of_account(claims.account_id.hex)


def check_address() -> None:
    """Reject a request from an address over its limit, before an unknown machine is looked up.

    :raises TooMany: this process found the limit used up, and its window is not over.
    """
    limits.reject_full(f"a:{request_context.current_origin().address}")


def _keys(claims: Claims) -> tuple[str, str]:
    """Return the counters of this request: by session and by account."""
    kind = "w" if _is_write() else "r"
    return f"{kind}:{claims.session_id.hex}", f"{kind}a:{claims.account_id.hex}"


def _counts(claims: Claims, rate: Rate, cost: int = 1) -> list[Count]:
    by_session, by_account = _keys(claims)
    by_all = Rate(rate.count * current_settings().account_factor, rate.seconds)
    return [Count(by_session, rate, cost), Count(by_account, by_all, cost)]


def _is_write() -> bool:
    contract = current_contract()
    return contract is not None and contract.access == "write"


def _counts_later() -> bool:
    view = current_view()
    if not getattr(view, "counted_if_rejected", False):
        return False
    return not limits.limited_lately(request_context.current_origin().address)


def _count_anonymous() -> None:
    address = request_context.current_origin().address
    take(Count(f"a:{address}", current_settings().limit_anonymous))


def _count_rejected(response: Response) -> Response:
    """Count an unauthenticated request whose view rejected it or failed."""
    try:
        _count_anonymous()
    except TooMany as error:
        return problems.respond_with(error)
    return response


def _add_headers(response: Response) -> Response:
    if "uncounted" in g:
        response = _count_rejected(response)
    windows: list[Window] = [*g.get("windows", [])]
    # The route's own limit, counted by Flask-Limiter.
    if "counted_by_extension" in g and (own := flask_limiter.current_limit) is not None:
        rate = Rate(own.limit.amount, own.limit.get_expiry())
        window = limiter.current().take([Count(own.key, rate, 0)])[0]
        windows.append(replace(window, allowed=not own.breached))
        if own.breached:
            limits.count_denied()
    if windows:
        tightest = min(windows, key=lambda window: (window.allowed, window.remaining))
        response.headers["RateLimit-Limit"] = str(tightest.limit)
        response.headers["RateLimit-Remaining"] = str(tightest.remaining)
        response.headers["RateLimit-Reset"] = str(tightest.reset)
        if response.status_code == 429:
            response.headers.setdefault("Retry-After", str(tightest.reset))
    return response
