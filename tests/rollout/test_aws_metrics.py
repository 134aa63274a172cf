"""The metric filters of deploy/aws/app.yaml, applied to the log of a failing server."""

import json
import re
import signal

import pytest

from tests.rollout import aws, tools
from tests.rollout.compose_processes import Site

TERM = re.compile(r"\$\.(\w+) (=|>=) (?:\"([^\"]*)\"|(\d+))")


def patterns():
    """Return the JSON patterns by metric name; the drill's is plain text."""
    found = aws.resources("app", "Logs::MetricFilter").values()
    named = {one["MetricTransformations"][0]["MetricName"]: one["FilterPattern"] for one in found}
    return {name: pattern for name, pattern in named.items() if pattern.startswith("{")}


def matches(pattern, line):
    """Match a log line like CloudWatch: terms joined by `&&`, or terms joined by `||`."""
    results = []
    for field, operator, text, number in TERM.findall(pattern):
        value = line.get(field)
        if operator == "=":
            results.append(value == text)
        else:
            results.append(isinstance(value, int) and value >= int(number))
    return all(results) if "&&" in pattern else any(results)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """The log of a server that first works, then loses its database."""
    folder = tmp_path_factory.mktemp("metrics")
    folder.chmod(0o755)
    with Site(folder) as site:
        port = site.start("app1", WEB_CONCURRENCY="1")
        ask = {"method": "POST", "body": {"email": "ann@example.org"}}
        ask["headers"] = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
        site.ask(port, "/api/v1/auth/prelogin", **ask)
        site.postgres.stop(signal.SIGINT)
        site.ask(port, "/api/v1/auth/prelogin", **ask)
        site.postgres.start()
        site.stop("app1")
        return [json.loads(line) for line in site.printed("app1").read_text().splitlines()]


def test_metric_filters_count_requests_and_server_errors(lines):
    found = {
        name: [one for one in lines if matches(pattern, one)]
        for name, pattern in patterns().items()
    }

    assert len(found["ServerErrors"]) == 1, found
    assert len(found["Requests"]) >= 2
    assert found["AuditFindings"] == found["AnchorFailures"] == found["JobFailures"] == []


def test_every_event_of_metric_filters_exists_in_server_code():
    source = "".join(path.read_text() for path in (tools.ROOT / "vaultr").rglob("*.py"))

    for pattern in patterns().values():
        for name in re.findall(r"\$\.event = \"([^\"]+)\"", pattern):
            assert re.search(
                rf"logs\.\w+\(\s*\"{re.escape(name)}\"|event\(\s*\"{name}\"", source
            ), name
        for slug in re.findall(r"\$\.problem = \"([^\"]+)\"", pattern):
            assert f'"{slug}"' in source, slug
