"""Spans: what is being done and how long it takes, told to a collector if OTEL_* names one.

Spans carry nothing but names out of short lists, statuses and the request's id: no value of a
statement, no path, query, header, address or text of an error. Our own few lines instead of the
contributed instrumentations, since those add what they like (paths, hosts, clients, exceptions).
"""

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vaultr.observability.tracing.opentelemetry import Teller

_NOTHING: Final = contextlib.nullcontext()
_PROTOCOL: Final = "http/protobuf"

_teller: "Teller | None" = None


def wanted(variables: Mapping[str, str]) -> bool:
    """Check whether the standard variables ask for traces: they name a collector."""
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
        import vaultr.observability.tracing.opentelemetry  # noqa: F401, PLC0415 - heavy, and the extra may be absent
    except ImportError:
        return "the extra otel is not installed: pip install 'vaultr[server,otel]'"
    return None


def reached(seconds: float) -> bool:
    """Check whether the collector takes spans, by handing it none; only where nothing hinders."""
    from vaultr.observability.tracing import opentelemetry  # noqa: PLC0415 - heavy, so imported late

    return opentelemetry.reached(seconds)


def start(variables: Mapping[str, str]) -> "Teller | None":
    """Begin to trace, if that is wanted and possible; to be called after a fork.

    :param variables: the process's environment; OpenTelemetry reads the rest of it by itself.
    :return: what makes spans; None where there are none.
    """
    global _teller
    if _teller is None and wanted(variables) and hindrance(variables) is None:
        from vaultr.observability.tracing.opentelemetry import Teller  # noqa: PLC0415 - heavy, so imported late

        _teller = Teller()
    return _teller


def stop() -> None:
    """Hand over what is left, and trace no more."""
    global _teller
    if _teller is not None:
        _teller.stop()
    _teller = None


def span(name: str, **attributes: str) -> AbstractContextManager[Any]:
    """Note a part of what a request or a job does; nothing outside of those.

    :param name: out of a short list; ``attributes`` likewise: a dot is written as ``__``.
    """
    if _teller is None:
        return _NOTHING
    return _teller.part(name, {key.replace("__", "."): told for key, told in attributes.items()})


def job(name: str) -> AbstractContextManager[Any]:
    """Note a piece of background work, as a trace of its own."""
    return _NOTHING if _teller is None else _teller.job(name)


def trace_id() -> str | None:
    """Return the id of the trace that goes on here, 32 hex digits, or None."""
    return None if _teller is None else _teller.trace_id()


def _of_traces(variables: Mapping[str, str], what: str) -> str:
    own = variables.get(f"OTEL_EXPORTER_OTLP_TRACES_{what}", "").strip()
    return own or variables.get(f"OTEL_EXPORTER_OTLP_{what}", "").strip()
