"""A span for each request: its method, route template, status and id."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vaultr.observability.tracing.opentelemetry import Teller

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_OTHER: Final = "_OTHER"  # OpenTelemetry's word for a method that is none of those


class Traced:
    """The app, with a span around each request, in the caller's trace if it names one.

    Of W3C's Trace Context `traceparent` alone is read: `tracestate` may hold anything.

    :param quiet: paths of which nothing is told, such as a balancer's probes.
    :param route_of: finds the route template that a request's environment was matched to.
    """

    def __init__(
        self,
        wsgi_app: Any,
        teller: "Teller",
        *,
        quiet: frozenset[str],
        route_of: Callable[[Any], str | None],
    ) -> None:
        self._wsgi_app = wsgi_app
        self._teller = teller
        self._quiet = quiet
        self._route_of = route_of

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in self._quiet:
            return self._wsgi_app(environ, start_response)  # type: ignore[no-any-return]  # WSGI is untyped
        given = environ.get("REQUEST_METHOD", "")
        method = given if given in _METHODS else _OTHER
        with self._teller.request(method, environ.get("HTTP_TRACEPARENT")) as span:
            # Whoever asks for the caller's trace (logs, audit) finds the one that goes on here.
            environ["HTTP_TRACEPARENT"] = self._teller.here()

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
            self._teller.fail(span, str(status))
        for name, value in headers:
            if name.lower() == "x-request-id":
                span.set_attribute("vaultr.request_id", value)
