"""Spans: what the server does and how long that takes, exported to a collector.

Spans contain only names from short lists, statuses and the request id: no statement parameters,
paths, queries, headers, addresses or error texts. OpenTelemetry's contributed instrumentations
would add such attributes (paths, hosts, clients, exceptions), so they are not used.
"""

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vaultr.observability.tracing.opentelemetry import Tracer

_NOTHING: Final = contextlib.nullcontext()
_PROTOCOL: Final = "http/protobuf"

_tracer: "Tracer | None" = None


def wanted(variables: Mapping[str, str]) -> bool:
    """Return whether the standard variables configure a collector."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if variables.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return False
    return bool(_of_traces(variables, "ENDPOINT"))


def problem(variables: Mapping[str, str]) -> str | None:
    """Return why configured traces are not possible, or None if they are."""
    if not wanted(variables):
        return None
    if variables.get("OTEL_TRACES_EXPORTER", "").strip().lower() not in ("", "otlp"):
        return "OTEL_TRACES_EXPORTER: only otlp is supported"
    if (_of_traces(variables, "PROTOCOL") or _PROTOCOL) != _PROTOCOL:
        return f"OTEL_EXPORTER_OTLP_PROTOCOL: only {_PROTOCOL} is supported"
    try:
        import vaultr.observability.tracing.opentelemetry  # noqa: F401, PLC0415 - heavy, and the extra may be absent
    except ImportError:
        return "the extra otel is not installed: pip install 'vaultr[server,otel]'"
    return None


def is_reachable(seconds: float) -> bool:
    """Return whether the collector accepts an empty export; call it if `problem` returns None."""
    from vaultr.observability.tracing import opentelemetry  # noqa: PLC0415 - heavy, so imported late

    return opentelemetry.is_reachable(seconds)


def start(variables: Mapping[str, str]) -> "Tracer | None":
    """Start tracing, if it is configured and possible; call it after a fork.

    :param variables: the process's environment; OpenTelemetry itself reads the rest of it.
    :return: the tracer, or None.
    """
    global _tracer
    if _tracer is None and wanted(variables) and problem(variables) is None:
        from vaultr.observability.tracing.opentelemetry import Tracer  # noqa: PLC0415 - heavy, so imported late

        _tracer = Tracer()
    return _tracer


def stop() -> None:
    """Export the remaining spans, and stop tracing."""
    global _tracer
    if _tracer is not None:
        _tracer.stop()
    _tracer = None


def span(name: str, **attributes: str) -> AbstractContextManager[Any]:
    """Start a span for a part of a request or job; do nothing outside of them.

    :param name: from a short list. The same applies to ``attributes``; in their names ``__`` stands
        for a dot.
    """
    if _tracer is None:
        return _NOTHING
    return _tracer.part(name, {key.replace("__", "."): value for key, value in attributes.items()})


def job(name: str) -> AbstractContextManager[Any]:
    """Start a span for background work, as its own trace."""
    return _NOTHING if _tracer is None else _tracer.job(name)


def trace_id() -> str | None:
    """Return the id of the current trace, 32 hex digits, or None."""
    return None if _tracer is None else _tracer.trace_id()


def _of_traces(variables: Mapping[str, str], what: str) -> str:
    own = variables.get(f"OTEL_EXPORTER_OTLP_TRACES_{what}", "").strip()
    return own or variables.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip()
