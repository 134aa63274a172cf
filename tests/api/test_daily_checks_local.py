"""`flask ops daily` without --metrics or --log: it reads local metrics, or reports if it cannot."""

import json

import pytest

from tests.harness.app_fixtures import built, environ_for
from tests.harness.gunicorn_server import free_port
from tests.harness.operator_fixtures import bad
from vaultr.ops import daily_checks

LINE = b'vaultr_requests_total{method="GET",route="/x",status="%d"} %d\n'


@pytest.fixture
def errors(httpd, app, set_to):
    """``errors(port)``: return the result of the error check with that METRICS_PORT."""
    healthy = httpd(b'{"status":"healthy"}')

    def look(port, host="127.0.0.1", *more):
        set_to(app, metrics_port=port, metrics_host=host)
        words = ["ops", "daily", "--json", "--url", healthy, *more]
        found = json.loads(app.test_cli_runner().invoke(args=words).stdout)
        [one] = [one for one in found["findings"] if one["topic"] == "errors"]
        return one, found["not_judged"]

    return look


def test_daily_check_reports_unavailable_redis(own_redis, tmp_path):
    sources = daily_checks.Sources("http://127.0.0.1:1")
    limits = dict(daily_checks.checks(sources))["limits"]

    with built(environ_for(tmp_path, REDIS_URL=own_redis.url)).app_context():
        before = bad(limits())
        own_redis.kill()
        after = bad(limits())

    assert before == []
    assert after == [("problem", "Redis does not count requests")]


def port_of(url):
    return int(url.rpartition(":")[2])


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_error_rate_is_read_from_local_server_metrics(errors, httpd, host):
    few, many = (httpd(LINE % (200, 100 - bad) + LINE % (500, bad)) for bad in (5, 6))

    assert errors(port_of(few), host) == (
        {
            "topic": "errors",
            "level": "ok",
            "says": "5 of 100 responses were server errors, on this machine only",
            "todo": "",
        },
        [],
    )
    assert errors(port_of(many), host)[0]["level"] == "problem"


@pytest.mark.parametrize("port", [None, 0])
def test_check_without_port_reports_what_it_skipped(errors, port):
    found, unseen = errors(port)

    assert unseen == ["errors"]
    assert found["level"] == "warning"
    assert found["says"] == "not checked: METRICS_PORT is 0, and no --metrics or --log was passed"
    assert "--metrics" in found["todo"]
    assert "--log" in found["todo"]


def test_error_check_is_skipped_without_server_metrics(errors, httpd):
    unreachable, unseen = errors(free_port())
    assert unseen == ["errors"]
    assert "no metrics at http://127.0.0.1:" in unreachable["says"]

    worker, unseen = errors(port_of(httpd(b"vaultr_job_failures_total 3\n")))
    assert unseen == ["errors"]
    assert "it may be a worker's" in worker["says"]


def test_configured_log_is_read_instead_of_metrics(errors, httpd, tmp_path):
    bad = httpd(LINE % (500, 100))

    found, unseen = errors(port_of(bad), "127.0.0.1", "--metrics", httpd(LINE % (200, 100)))

    assert (found["level"], unseen) == ("ok", [])
