"""A span for each request: its method, route template, status and id."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vaultr.observability.tracing.opentelemetry import Tracer

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_OTHER: Final = "_OTHER"  # OpenTelemetry's value for any other method


class TracingMiddleware:
    """WSGI middleware that creates a span for each request, in the caller's trace if it has one.

    It reads only `traceparent` of W3C Trace Context, because `tracestate` may contain anything.

    :param quiet: paths without spans, such as those of probes.
    :param route_of: returns the route template that a request's environment matched.
    """

    def __init__(
        self,
        wsgi_app: Any,
        tracer: "Tracer",
        *,
        quiet: frozenset[str],
        route_of: Callable[[Any], str | None],
    ) -> None:
        self._wsgi_app = wsgi_app
        self._tracer = tracer
        self._quiet = quiet
        self._route_of = route_of

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the app inside the span of its request, except for quiet paths."""
        if environ.get("PATH_INFO") in self._quiet:
            return self._wsgi_app(environ, start_response)  # type: ignore[no-any-return]  # WSGI is untyped
        method = environ.get("REQUEST_METHOD", "")
        method = method if method in _METHODS else _OTHER
        with self._tracer.request(method, environ.get("HTTP_TRACEPARENT")) as span:
            # Logs and audit events read the trace id from this header, so set it to the current
            # span.
            environ["HTTP_TRACEPARENT"] = self._tracer.current_traceparent()

            def start(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                self._answered(span, line, headers)
                return start_response(line, headers, *rest)

            try:
                return self._wsgi_app(environ, start)  # type: ignore[no-any-return]  # WSGI is untyped
            finally:
                if (route := self._route_of(environ)) is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)

    def _answered(self, span: Any, line: str, headers: list[tuple[str, str]]) -> None:
        status = int(line[:3])
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._tracer.fail(span, str(status))
        for name, value in headers:
            if name.lower() == "x-request-id":
                span.set_attribute("vaultr.request_id", value)
