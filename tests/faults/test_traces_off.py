"""Missing or unconfigured tracing does not affect the server."""

import json
import subprocess
import sys
import time

import pytest

from tests.harness.gunicorn_server import ROOT, running
from tests.harness.timing import quickest
from tests.harness.trace_collector import collecting


def test_missing_collector_fails_no_request(tmp_path, count):
    with collecting() as mine:
        mine.rejecting = True
        urls = (mine.url, "http://127.0.0.1:9", "http://no-such-host.invalid")
        for number, url in enumerate(urls[: count(1, many=3)]):
            home = tmp_path / str(number)
            home.mkdir()
            with running(
                home, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="50"
            ) as server:

                def ask(server=server):
                    reported = [server.get("/api/v1/openapi.json")[0] for _ in range(20)]
                    assert reported == [200] * 20

                assert quickest(ask, within=5) < 5
                began = time.monotonic()
                assert server.stop() == 0
                assert time.monotonic() - began < 8
                assert server.logged("request.failed") == []


def without_otel(home):
    """Return a folder for PYTHONPATH in which OpenTelemetry cannot be imported."""
    package = home / "shadow" / "opentelemetry"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not installed')")
    return str(package.parent)


@pytest.mark.long
def test_missing_otel_extra_logs_what_to_install(tmp_path):
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "WEB_CONCURRENCY": "1"}
    with running(tmp_path, PYTHONPATH=without_otel(tmp_path), **more) as server:
        assert server.get("/api/v1/openapi.json")[0] == 200
        [reported] = server.logged("traces.off")

    assert (
        reported["reason"] == "the extra otel is not installed: pip install 'vaultr[server,otel]'"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    "more", [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}]
)
def test_disabled_traces_import_and_wrap_nothing(tmp_path, more):
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if more else {}
    asking = """
import os, sys
from vaultr.observability import instrumentation as observing
from wsgi import app
before = app.wsgi_app
observing.trace(app, os.environ)
status = app.test_client().get("/api/v1/vaults", base_url="http://localhost").status_code
telling = ("opentelemetry.exporter", "opentelemetry.sdk.trace", "google.protobuf")
loaded = [name for name in sys.modules if name.startswith(telling)]
print(status, app.wsgi_app is before, loaded)
"""
    done = subprocess.run(
        [sys.executable, "-c", asking],
        cwd=ROOT, capture_output=True, text=True,
        env={"VAULTR_HOME": str(tmp_path), "LOG_LEVEL": "ERROR", **named, **more},
    )  # fmt: skip

    assert done.stdout == "401 True []\n", done.stderr


def doctor_on(server, **more):
    """Return the results of `flask doctor` about traces, as (level, words)."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "doctor", "--json"],
        cwd=ROOT, env={**server.environ, **more}, capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)["findings"]
    return [(one["level"], one["says"]) for one in found if one["topic"] == "traces"]


@pytest.mark.long
def test_doctor_reports_whether_spans_reach_the_collector(tmp_path):
    with collecting() as mine, running(tmp_path, WEB_CONCURRENCY="1") as server:
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": mine.url}
        assert doctor_on(server) == []
        assert doctor_on(server, **named) == [("ok", "the collector accepts spans")]
        mine.rejecting = True
        away = [("problem", "the collector does not accept spans")]
        assert doctor_on(server, **named) == away
        assert doctor_on(server, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") == away
        missing = doctor_on(server, **named, PYTHONPATH=without_otel(tmp_path))

    assert missing[0][1].startswith("the extra otel is not installed")
