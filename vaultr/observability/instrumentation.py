"""Counts every answer by route template, and every database connection that is lent."""

import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from flask import Flask, Response, g, request

from vaultr.api.security_headers import PROBES
from vaultr.database.session import SINGLE, db
from vaultr.observability import logs, metrics, statsd
from vaultr.observability.tracing import spans, statements
from vaultr.observability.tracing.requests import Traced
from vaultr.settings.model import Settings
from vaultr.version import __version__

_ROUTE: Final = "vaultr.route"
_POOLS: Final = "vaultr.observed_pools"
_NO_ROUTE: Final = ("-", "no_route")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class _Observed:
    """The app, with a look at the clock before and after; it sees what went wrong too."""

    def __init__(self, wsgi_app: Any) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        began = time.perf_counter()
        status = "500"

        def start(line: str, *rest: Any) -> Any:
            nonlocal status
            status = line[:3]
            return start_response(line, *rest)

        try:
            return self._wsgi_app(environ, start)  # type: ignore[no-any-return]  # WSGI is untyped
        finally:
            if environ.get("PATH_INFO") not in PROBES:
                _note(environ, status, time.perf_counter() - began)


def _note(environ: dict[str, Any], status: str, seconds: float) -> None:
    route, operation = environ.get(_ROUTE, _NO_ROUTE)
    given = environ.get("REQUEST_METHOD", "")
    method = given if given in _METHODS else metrics.OTHER
    metrics.REQUESTS.labels(method, route, status).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
    statsd.timing(_timed_as(operation), seconds)


@lru_cache(maxsize=512)
def _timed_as(operation: str) -> str:
    return statsd.name_of(*operation.split("."), "duration")


def init_app(app: Flask, _settings: Settings) -> None:
    """Look at every request from the outside, and at both pools."""
    app.before_request(_remember_route)
    app.after_request(_count_problem)
    with app.app_context():
        pools = [_Pool(db.engine, "transactions"), _Pool(app.extensions[SINGLE], "statements")]
    app.extensions[_POOLS] = pools

    def measure(_error: BaseException | None) -> None:
        for pool in pools:
            pool.measure()

    app.teardown_appcontext(measure)
    app.wsgi_app = _Observed(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way


def _remember_route() -> None:
    rule = request.url_rule
    if rule is not None:
        request.environ[_ROUTE] = (rule.rule, rule.endpoint)


def _count_problem(response: Response) -> Response:
    slug = g.get("refusal")
    if slug is not None:
        metrics.PROBLEMS.labels(slug).inc()
    return response


class _Pool:
    """One of the two pools: how many of its connections are lent, and how many may be."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._in_use = metrics.POOL_IN_USE.labels(name)
        sa.event.listen(engine, "checkout", lambda *_: self.measure())

    def measure(self) -> None:
        pool: Any = self._engine.pool  # a new one after a fork
        self._in_use.set(pool.checkedout())

    def tell_size(self) -> None:
        pool: Any = self._engine.pool
        metrics.POOL_SIZE.labels(self._name).set(pool.size() + pool._max_overflow)


def say_what_runs(app: Flask) -> None:
    """Tell, in each process, what does not change: the version and how many connections may be."""
    metrics.BUILD.labels(__version__).set(1)
    for pool in app.extensions[_POOLS]:
        pool.tell_size()


def trace(app: Flask, variables: Mapping[str, str]) -> None:
    """Tell a collector of requests, statements and jobs, if OTEL_* names one; after a fork only."""
    if (teller := spans.start(variables)) is not None:
        tables = frozenset(db.metadata.tables)
        with app.app_context():
            statements.listen(db.engine, tables)
        statements.listen(app.extensions[SINGLE], tables)
        traced = Traced(app.wsgi_app, teller, quiet=PROBES, route_of=_route_of)
        app.wsgi_app = traced  # type: ignore[method-assign]  # Flask's documented way
        logs.event("traces.on")
    elif (reason := spans.hindrance(variables)) is not None:
        logs.warning("traces.off", reason=reason)


def _route_of(environ: Mapping[str, Any]) -> str | None:
    found: tuple[str, str] | None = environ.get(_ROUTE)
    return found[0] if found else None
