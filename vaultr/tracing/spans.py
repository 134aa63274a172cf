"""Spans: what is being done and how long it takes, told to a collector if OTEL_* names one.

Spans carry nothing but names out of short lists, statuses and the request's id: no value of a
statement, no path, query, header, address or text of an error. Our own few lines instead of the
contributed instrumentations, since those add what they like (paths, hosts, clients, exceptions).

Until `start` nothing of OpenTelemetry is imported, and a span costs a tenth of a microsecond.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from vaultr.version import __version__

STOP_SECONDS: Final = 3.0  # to hand over what is left; a collector that is away holds nobody up
_NOTHING: Final = contextlib.nullcontext()
_PROTOCOL: Final = "http/protobuf"

_tracer: Any = None
_provider: Any = None


def wanted(variables: Mapping[str, str]) -> bool:
    """Tell whether the standard variables ask for traces: they name a collector."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if variables.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return bool(_of_traces(variables, "ENDPOINT"))


def hindrance(variables: Mapping[str, str]) -> str | None:
    """Say why there can be no traces although they are wanted; None if there can be."""
    if not wanted(variables):
        return None
    if variables.get("OTEL_TRACES_EXPORTER", "").strip().lower() not in ("", "otlp"):
        return "OTEL_TRACES_EXPORTER: otlp is the only exporter there is"
    if (_of_traces(variables, "PROTOCOL") or _PROTOCOL) != _PROTOCOL:
        return f"OTEL_EXPORTER_OTLP_PROTOCOL: {_PROTOCOL} is the only protocol there is"
    try:
        # Late, since it takes a tenth of a second, and is not installed without the extra.
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401, PLC0415
    except ImportError:
        return "the extra otel is not installed: pip install 'vaultr[server,otel]'"
    return None


def start(variables: Mapping[str, str]) -> bool:
    """Begin to trace, if that is wanted and possible; to be called after a fork.

    A thread begins that hands spans over, and it would not survive a fork.

    :param variables: the process's environment; OpenTelemetry reads the rest of it by itself.
    :return: whether there are traces now.
    """
    global _tracer, _provider
    if _tracer is not None or not wanted(variables) or hindrance(variables) is not None:
        return _tracer is not None
    # Late, for the same reason as above.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    given = OTELResourceDetector().detect().attributes
    usual = {"service.name": "vaultr", "service.version": __version__}
    resource = Resource.create({**usual, **given})
    _provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("vaultr", __version__)
    return True


def stop() -> None:
    """Hand over what is left, within `STOP_SECONDS`, and trace no more."""
    global _tracer, _provider
    if _provider is None:
        return
    last = threading.Thread(target=_provider.shutdown, name="vaultr-traces", daemon=True)
    last.start()
    last.join(STOP_SECONDS)
    _tracer = _provider = None


def span(name: str, **attributes: str) -> AbstractContextManager[Any]:
    """Note a part of what a request or a job does; nothing outside of those.

    :param name: out of a short list; ``attributes`` likewise: a dot is written as ``__``.
    """
    if _tracer is None:
        return _NOTHING
    return _part(name, {key.replace("__", "."): value for key, value in attributes.items()})


def job(name: str) -> AbstractContextManager[Any]:
    """Note a piece of background work, as a trace of its own."""
    if _tracer is None:
        return _NOTHING
    from opentelemetry.context import Context  # noqa: PLC0415 - late, as above

    return _entered(f"job {name}", {"vaultr.job": name}, "INTERNAL", Context())


def request(method: str, traceparent: str | None) -> AbstractContextManager[Any]:
    """Note a request, within the caller's trace if it names one (W3C Trace Context).

    Its `tracestate` and `baggage` are left aside: they may hold anything. Only after `start`.
    """
    from opentelemetry.context import Context  # noqa: PLC0415 - late, as above
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - as above
        TraceContextTextMapPropagator,
    )

    carrier = {"traceparent": traceparent} if traceparent else {}
    context = TraceContextTextMapPropagator().extract(carrier, Context())
    return _entered(method, {"http.request.method": method}, "SERVER", context)


def trace_id() -> str | None:
    """Give the id of the trace that is going on here, 32 hex digits, or None."""
    return parent_of_callees().split("-")[1] if _tracer is not None and _current_valid() else None


def parent_of_callees() -> str:
    """Give the span that is going on here as W3C's `traceparent`; only after `start`."""
    from opentelemetry import trace  # noqa: PLC0415 - late, as above

    here = trace.get_current_span().get_span_context()
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"


def fail(span: Any, kind: str) -> None:
    """Mark a span as failed, by a word that says how."""
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - late, as above

    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _of_traces(variables: Mapping[str, str], what: str) -> str:
    own = variables.get(f"OTEL_EXPORTER_OTLP_TRACES_{what}", "").strip()
    return own or variables.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip()


def _current_valid() -> bool:
    from opentelemetry import trace  # noqa: PLC0415 - late, as above

    return trace.get_current_span().get_span_context().is_valid


def _part(name: str, attributes: dict[str, str]) -> AbstractContextManager[Any]:
    return _entered(name, attributes, "CLIENT", None) if _current_valid() else _NOTHING


@contextlib.contextmanager
def _entered(name: str, attributes: dict[str, str], kind: str, context: Any) -> Iterator[Any]:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - late, as above

    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=SpanKind[kind],
        attributes=attributes,
        record_exception=False,  # its text may repeat what was sent
        set_status_on_exception=False,
    ) as entered:
        try:
            yield entered
        except BaseException as error:
            fail(entered, type(error).__name__)
            raise
