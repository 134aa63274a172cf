"""Structured logs: one JSON line for each event on stdout, without values that may be secret."""

import json
import logging
import re
import sys
import time
import traceback
from typing import Any, cast

from flask import Flask, Response, g, request

from vaultr import clock, request_context
from vaultr.observability.tracing import spans
from vaultr.settings.model import Settings

_log = logging.getLogger("vaultr")
# Fields with these names are never logged.
_SECRET = re.compile(r"pass|secret|token|key|auth|cookie|mail|body|sealed|pepper|address", re.I)
_QUIET = ("/api/health", "/api/ready")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; for other libraries only the message template."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = getattr(record, "fields", None)
        # A thread keeps the origin of its last request, and gunicorn logs between requests.
        origin = (
            request_context.NOWHERE
            if record.name == "gunicorn.error"
            else request_context.current_origin()
        )
        line: dict[str, Any] = {
            "time": clock.text(clock.now()),
            "level": record.levelname.lower(),
            # Arguments from other libraries may contain anything, so only the template is logged.
            "event": record.msg if isinstance(record.msg, str) else record.name,
            "request_id": origin.request_id,
        }
        trace_id = origin.trace_id or spans.trace_id()  # a job has no origin
        if trace_id is not None:
            line["trace_id"] = trace_id
        if fields is None:
            line["logger"] = record.name
        else:
            line.update((k, v) for k, v in fields.items() if not _SECRET.search(k))
        if record.exc_info and record.exc_info[1] is not None:
            line.update(_error_fields(record.exc_info[1]))
        return json.dumps(line, default=str)


def _error_fields(error: BaseException) -> dict[str, Any]:
    """Return type and location of an exception, but not its text, which may repeat client data."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or getattr(error, "orig", None)
    fields: dict[str, Any] = {"error": type(error).__name__, "at": where}
    if cause is not None:
        fields["cause"] = type(cause).__name__
    return fields


def event(name: str, **fields: Any) -> None:
    """Log an event; fields with names of secrets are left out."""
    _log.info(name, extra={"fields": fields})


def warning(name: str, **fields: Any) -> None:
    """Log an event that an operator should look at."""
    _log.warning(name, extra={"fields": fields})


def failure(name: str, error: BaseException, **fields: Any) -> None:
    """Log a failure by type and location, never by its text."""
    _log.error(name, exc_info=error, extra={"fields": fields})


def _request_line(response: Response) -> Response:
    if request.path not in _QUIET and _log.isEnabledFor(logging.INFO):
        route = request.url_rule.rule if request.url_rule else "-"
        event(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            problem=problem_slug(),
            milliseconds=round((time.perf_counter() - g.began) * 1000, 1) if "began" in g else None,
        )
    return response


def note_problem(slug: str) -> None:
    """Store the slug of the error that this request ends with, for its log line and the metric."""
    g.problem = slug


def problem_slug() -> str | None:
    """Return the slug of the error that this request ends with, or None."""
    return cast("str | None", g.get("problem"))


def _began() -> None:
    g.began = time.perf_counter()


def init_app(app: Flask, settings: Settings) -> None:
    """Log to stdout as JSON lines, and log each request."""
    set_up(settings)
    app.before_request(_began)
    app.after_request(_request_line)


def set_up(settings: Settings) -> None:
    """Send all logs to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    _log.setLevel(settings.log_level)


def to_stderr() -> None:
    """Send all logs to stderr, because a command's output goes to stdout."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.formatter, JsonLines):
            handler.setStream(sys.stderr)
