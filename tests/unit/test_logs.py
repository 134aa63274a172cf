"""Logs: one JSON line per event, without values that may be secret."""

import json
import logging

import pytest

from vaultr import request_context
from vaultr.observability import logs

SECRET = "hunter2"


@pytest.fixture
def line():
    """Return the formatted record."""

    def written(record):
        text = logs.JsonLines().format(record)
        assert "\n" not in text
        return json.loads(text)

    return written


@pytest.fixture
def logged(caplog, line):
    """Return the lines that were logged."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "vaultr")
    return lambda: [line(record) for record in caplog.records]


@pytest.fixture
def origin():
    known = request_context.Origin(
        "abc-1", "192.0.2.1", "192.0.2.0/24", "curl", "4bf92f3577b34da6a3ce929d0e0e4736"
    )
    request_context.set_origin(known)
    yield known
    request_context.set_origin(request_context.NOWHERE)


def failed(error, cause=None):
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_log_event_has_time_request_and_trace(logged, origin):
    logs.event("vault.written", vault="0a1b", milliseconds=1.5)

    [line] = logged()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "event": "vault.written",
        "request_id": "abc-1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "vault": "0a1b",
        "milliseconds": 1.5,
    }


@pytest.mark.parametrize(
    "name",
    [
        *(
            "password",
            "secret_key",
            "auth_key",
            "token",
            "refresh_token",
            "authorization",
            "cookie",
        ),
        *("email", "mail", "body", "sealed", "pepper", "address", "PASSPHRASE"),
    ],
)
def test_field_named_like_a_secret_is_omitted(logged, name):
    logs.warning("odd", **{name: SECRET})

    assert SECRET not in json.dumps(logged())


def test_logged_error_has_type_and_location_without_text(logged):
    error = failed(ValueError(f"invalid input: {SECRET}"), KeyError(SECRET))

    logs.failure("request.failed", error, slug="internal")

    [line] = logged()
    assert (line["level"], line["error"], line["cause"]) == ("error", "ValueError", "KeyError")
    assert line["at"][-1].startswith("test_logs.py:")
    assert SECRET not in json.dumps(line)


def test_third_party_log_record_keeps_only_its_template(logged):
    logging.getLogger("foreign").warning("cannot reach %s: %r", f"redis://:{SECRET}@cache", SECRET)
    logging.getLogger("foreign").error("gone", exc_info=failed(RuntimeError(SECRET)))

    first, second = logged()
    assert first["event"] == "cannot reach %s: %r"
    assert first["logger"] == "foreign"
    assert second["error"] == "RuntimeError"
    assert SECRET not in json.dumps([first, second])


def test_non_text_log_record_is_named_by_logger(line):
    record = logging.makeLogRecord({"name": "foreign", "msg": ValueError(SECRET)})

    assert line(record)["event"] == "foreign"


def test_gunicorn_log_between_requests_has_no_request_id(line, origin):
    record = logging.makeLogRecord({"name": "gunicorn.error", "msg": "Invalid request"})

    assert line(record)["request_id"] == "-"
    assert "trace_id" not in line(record)


def test_unserialisable_log_value_is_still_written(logged):
    logs.event("odd", thing={1, 2}.__class__)

    assert logged()[0]["thing"] == "<class 'set'>"
