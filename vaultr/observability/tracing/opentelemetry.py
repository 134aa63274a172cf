"""Create and export spans. The only module that imports OpenTelemetry.

Only `spans` imports it, and only if a collector is configured, because the import takes 0.1 s.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from vaultr.version import __version__

STOP_SECONDS: Final = 3.0  # for the last export: an unavailable collector must not delay the exit
_NOTHING: Final = contextlib.nullcontext()


class Tracer:
    """Creates spans. Its own thread exports them, so create it after a fork."""

    def __init__(self) -> None:
        detected = OTELResourceDetector().detect().attributes
        defaults = {"service.name": "vaultr", "service.version": __version__}
        resource = Resource.create({**defaults, **detected})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("vaultr", __version__)

    def stop(self) -> None:
        """Export the remaining spans, within `STOP_SECONDS`."""
        last = threading.Thread(target=self._provider.shutdown, name="vaultr-traces", daemon=True)
        last.start()
        last.join(STOP_SECONDS)

    def part(self, name: str, attributes: dict[str, str]) -> AbstractContextManager[Any]:
        """Start a child span; without a current span, do nothing."""
        if not trace.get_current_span().get_span_context().is_valid:
            return _NOTHING
        return self._entered(name, attributes, SpanKind.CLIENT, None)

    def job(self, name: str) -> AbstractContextManager[Span]:
        """Start a span for background work, as its own trace."""
        return self._entered(f"job {name}", {"vaultr.job": name}, SpanKind.INTERNAL, Context())

    def request(self, method: str, traceparent: str | None) -> AbstractContextManager[Span]:
        """Start a span for a request, within the trace of its ``traceparent``."""
        carrier = {"traceparent": traceparent} if traceparent else {}
        context = TraceContextTextMapPropagator().extract(carrier, Context())
        attributes = {"http.request.method": method}
        return self._entered(method, attributes, SpanKind.SERVER, context)

    @contextlib.contextmanager
    def _entered(
        self, name: str, attributes: dict[str, str], kind: SpanKind, context: Context | None
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=attributes,
            record_exception=False,  # its text may contain client data
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                self.fail(span, type(error).__name__)
                raise

    def current_traceparent(self) -> str:
        """Return the current span as W3C `traceparent`; all zeros without one."""
        span = trace.get_current_span().get_span_context()
        return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"

    def trace_id(self) -> str | None:
        """Return the id of the current trace."""
        span = trace.get_current_span().get_span_context()
        return f"{span.trace_id:032x}" if span.is_valid else None

    def fail(self, span: Span, kind: str) -> None:
        """Mark a span as failed, with one word for the reason."""
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)


def is_reachable(seconds: float) -> bool:
    """Return whether the collector accepts an empty export within ``seconds``."""
    exporter = OTLPSpanExporter(timeout=seconds)
    try:
        return exporter.export([]) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]  # it has no types
