"""The name of a statement in a trace says what it does, and contains no values."""

import pytest

from vaultr.observability.tracing import spans, statements
from vaultr.observability.tracing.statements import name_of

TABLES = frozenset({"accounts", "sessions", "audit_event", "items"})


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(statements, "_tables", TABLES)
    monkeypatch.setattr(statements, "_names", type(statements._names)())
    monkeypatch.setattr(statements, "_prepared", {})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT 1", "SELECT"),
        ('select * from "accounts" where id = %(id)s', "SELECT accounts"),
        ("SELECT x FROM sessions JOIN accounts ON true", "SELECT sessions SELECT accounts"),
        ("UPDATE sessions SET a = 1 /*request_id='r-1'*/", "UPDATE sessions"),
        (
            "WITH e AS (INSERT INTO audit_event VALUES (1)) DELETE FROM items",
            "INSERT audit_event DELETE items",
        ),
        ("SELECT pg_advisory_xact_lock(%(k)s)", "SELECT pg_advisory_xact_lock"),
        ("SELECT a FROM accounts FOR UPDATE SKIP LOCKED", "SELECT accounts"),
        ("SET LOCAL synchronous_commit = off", "SET"),
        ("hunter2", "OTHER"),
        ("", "OTHER"),
        (b"INSERT INTO items VALUES ('from accounts', 'hunter2')", "INSERT items SELECT accounts"),
        (b"\xff\xfe", "OTHER"),
    ],
)  # fmt: skip
def test_statement_name_has_verbs_and_known_tables(text, name):
    assert name_of(text) == name


def test_unknown_words_never_reach_a_span():
    assert name_of("SELECT 1 FROM hunter2") == "SELECT"
    assert name_of("INSERT INTO hunter2 SELECT 1 FROM items") == "SELECT items"
    assert name_of("SELECT hunter2()") == "SELECT"


def test_prepared_statement_is_named_by_its_verb():
    assert name_of("PREPARE vaultr_ab AS SELECT 1 FROM accounts") == "PREPARE SELECT accounts"

    assert name_of("EXECUTE vaultr_ab(%(id)s)") == "SELECT accounts"
    assert name_of("EXECUTE vaultr_ab(1); EXECUTE vaultr_ab(2)") == "SELECT accounts"
    assert name_of("EXECUTE unknown('hunter2')") == "EXECUTE"


def test_statement_name_cache_is_bounded():
    for number in range(3000):
        name_of(f"SELECT {number} FROM accounts")
        name_of(f"INSERT INTO items VALUES ('{number}')".encode())

    assert len(statements._names) <= 1000


def test_tracing_is_on_only_with_a_collector():
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}

    assert spans.wanted(named)
    assert spans.wanted({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"})
    assert not spans.wanted({})
    assert not spans.wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": " "})
    assert not spans.wanted({**named, "OTEL_SDK_DISABLED": "true"})
    assert not spans.wanted({**named, "OTEL_TRACES_EXPORTER": "none"})


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, None),
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER: only otlp"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf",
        ),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, "only http/protobuf is supported"),
    ],
)
def test_unsupported_tracing_settings_are_reported(more, says):
    reported = spans.problem({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", **more})

    assert reported is None if says is None else says in reported


def test_span_without_started_tracing_is_none():
    with spans.span("argon2") as part, spans.job("outbox") as job:
        assert part is job is None
    assert spans.trace_id() is None
