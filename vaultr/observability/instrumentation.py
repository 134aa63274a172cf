"""Measure every request by its route template, and the connections of each database pool."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from flask import Flask, Response, request

from vaultr.app_state import AppSlot
from vaultr.observability import logs, metrics, statsd
from vaultr.observability.tracing import spans, statements
from vaultr.observability.tracing.requests import TracingMiddleware
from vaultr.version import __version__

_ROUTE: Final = "vaultr.route"
_NO_ROUTE: Final = ("-", "no_route")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})


class _MetricsMiddleware:
    """WSGI middleware that measures the app from outside, so that failures are counted too."""

    def __init__(self, wsgi_app: Any, quiet_paths: frozenset[str]) -> None:
        self._wsgi_app = wsgi_app
        self._quiet_paths = quiet_paths

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
            if environ.get("PATH_INFO") not in self._quiet_paths:
                _record(environ, status, time.perf_counter() - began)


def _record(environ: dict[str, Any], status: str, seconds: float) -> None:
    route, operation = environ.get(_ROUTE, _NO_ROUTE)
    method = environ.get("REQUEST_METHOD", "")
    method = method if method in _METHODS else metrics.OTHER
    metrics.REQUESTS.labels(method, route, status).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
    statsd.timing(_statsd_name(operation), seconds)


@lru_cache(maxsize=512)
def _statsd_name(operation: str) -> str:
    return statsd.name_of(*operation.split("."), "duration")


def init_app(
    app: Flask,
    *,
    engines: Mapping[str, sa.Engine],
    tables: frozenset[str],
    quiet_paths: frozenset[str],
) -> None:
    """Measure every request, and the connections of each pool.

    :param engines: the engines whose pools are measured, by the name of their metric's label.
    :param tables: the names of tables that a span may contain.
    :param quiet_paths: paths that are not measured, such as those of probes.
    """
    app.before_request(_remember_route)
    app.after_request(_count_problem)
    pools = [_Pool(engine, name) for name, engine in engines.items()]
    _OBSERVED.set(app, _Observed(pools, tables, quiet_paths))

    def measure(_error: BaseException | None) -> None:
        for pool in pools:
            pool.measure()

    app.teardown_appcontext(measure)
    app.wsgi_app = _MetricsMiddleware(app.wsgi_app, quiet_paths)  # type: ignore[method-assign]  # Flask's documented way


def _remember_route() -> None:
    rule = request.url_rule
    if rule is not None:
        request.environ[_ROUTE] = (rule.rule, rule.endpoint)


def _count_problem(response: Response) -> Response:
    slug = logs.problem_slug()
    if slug is not None:
        metrics.PROBLEMS.labels(slug).inc()
    return response


class _Pool:
    """One connection pool: how many connections are in use, and the maximum."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self.engine, self._name = engine, name
        self._in_use = metrics.POOL_IN_USE.labels(name)
        sa.event.listen(engine, "checkout", lambda *_: self.measure())

    def measure(self) -> None:
        pool: Any = self.engine.pool  # look it up each time: a fork creates a new pool
        self._in_use.set(pool.checkedout())

    def set_size(self) -> None:
        pool: Any = self.engine.pool
        metrics.POOL_SIZE.labels(self._name).set(pool.size() + pool._max_overflow)


@dataclass(frozen=True, slots=True)
class _Observed:
    pools: list[_Pool]
    tables: frozenset[str]
    quiet_paths: frozenset[str]


_OBSERVED: Final = AppSlot[_Observed]("observability.observed")


def set_constant_gauges(app: Flask) -> None:
    """Set the gauges that never change, in each process: the version and the sizes of pools."""
    metrics.BUILD.labels(__version__).set(1)
    for pool in _OBSERVED.get(app).pools:
        pool.set_size()


def trace(app: Flask, variables: Mapping[str, str]) -> None:
    """Export traces of requests, statements and jobs, if OTEL_* configures a collector.

    Call it after the fork: the exporter starts a thread.
    """
    if (tracer := spans.start(variables)) is not None:
        observed = _OBSERVED.get(app)
        for pool in observed.pools:
            statements.listen(pool.engine, observed.tables)
        traced = TracingMiddleware(
            app.wsgi_app, tracer, quiet=observed.quiet_paths, route_of=_route_of
        )
        app.wsgi_app = traced  # type: ignore[method-assign]  # Flask's documented way
        logs.event("traces.on")
    elif (reason := spans.problem(variables)) is not None:
        logs.warning("traces.off", reason=reason)


def _route_of(environ: Mapping[str, Any]) -> str | None:
    found: tuple[str, str] | None = environ.get(_ROUTE)
    return found[0] if found else None
