"""Traces of a real server with two workers, received by a real collector over OTLP."""

import http.client
import json
import re
import subprocess
import sys

import pytest

from tests.harness import servers
from tests.harness.first_hour_site import Person, Site, token_of
from tests.harness.gunicorn_server import ROOT, free_port, running
from tests.harness.metrics_scrape import jobs_done
from tests.harness.timing import until
from tests.harness.trace_collector import collecting
from vaultr.backup.marker_search import found_in

EMAIL = "ann.lindqvist@example.org"
PASSWORD = "gravel-harbour-violet-tundra-7"
SECRET = "Xq7-vinegar-lamp"
PLANTED = {
    "query": "q-Tk29fjLsPaQ",
    "path": "p-Hn47slWqZx",
    "bearer": "b-Vb83kdMrTy",
    "cookie": "c-Lo52hgXcNm",
    "agent": "a-Pw61bnUjKi",
    "state": "s-Ge74xmDrFt",
    "baggage": "g-Iy38coHvBs",
    "body": "d-Re95vaEkLw",
    "field": "f-Zu16toMgQp",
    "forwarded": "203.0.113.77",
}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OURS = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = "00-11111111111111111111111111111111-2222222222222222-00"
ATTRIBUTES = {
    "http.request.method": re.compile(r"GET|HEAD|POST|PUT|DELETE|OPTIONS|_OTHER"),
    "http.route": re.compile(r"/[a-z0-9/_.<>:-]+"),
    "http.response.status_code": re.compile(r"[2-5][0-9]{2}"),
    "vaultr.request_id": re.compile(r"[A-Za-z0-9._-]{1,64}"),
    "vaultr.job": re.compile(r"[a-z-]+"),
    "vaultr.mail.kind": re.compile(r"[a-z-]+"),
    "db.system.name": re.compile(r"postgresql|redis"),
    "db.query.summary": re.compile(r"[A-Z]+( [a-z_]+)?( [A-Z]+ [a-z_]+)*"),
    "error.type": re.compile(r"[A-Za-z0-9]+"),
}
RESOURCE = {
    "service.name",
    "service.version",
    "service.instance.id",  # random in each process
    "telemetry.sdk.name",
    "telemetry.sdk.language",
    "telemetry.sdk.version",
}


@pytest.fixture(scope="module")
def collector():
    with collecting() as one:
        yield one


@pytest.fixture(scope="module")
def hour(tmp_path_factory, postgres_url, redis_url, collector):
    """The spans of a server with two workers, on which a user stored a secret."""
    url = servers.fresh_database(postgres_url)
    home = tmp_path_factory.mktemp("traced")
    (home / "server").mkdir()
    site = Site(
        home / "server", url, redis_url,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        # Longer than the test, because the spans are exported when the server ends.
        OTEL_BSP_SCHEDULE_DELAY="3600000", OTEL_BSP_MAX_QUEUE_SIZE="20000",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="20000", TRUSTED_PROXIES="1",
    )  # fmt: skip
    site.upgrade()
    site.start()
    try:
        site.secret_key = _keeps_a_secret(home, site)
        requested(site, "/api/v1/vaults", traceparent=OURS, **{"X-Request-Id": "ours-1"})
        requested(site, "/api/v1/vaults", traceparent=UNSAMPLED, **{"X-Request-Id": "unsampled-1"})
        _send_marked_requests(site)
        for number in range(40):
            requested(site, "/api/v1/openapi.json", **{"X-Request-Id": f"many-{number}"})
        assert collector.spans == []
    finally:
        site.stop()
    yield site
    servers.drop_database(url)


def _keeps_a_secret(home, site):
    ann = Person(home / "ann", site, EMAIL, PASSWORD)
    shown = ann.types("signup", "--email", EMAIL).stdout
    ann.types("verify", token_of(site.mail()))
    item = {"overview": {"title": "Mail"}, "detail": {"password": SECRET}}
    ann.types("add", "login", "--json", stdin=json.dumps(item))
    ann.types("sync")
    return re.search(r"^Secret key: (\S{43})$", shown, re.M)[1]


def requested(site, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def _send_marked_requests(site):
    sent = {
        "Authorization": f"Bearer {PLANTED['bearer']}",
        "Cookie": f"__Host-vaultr_access={PLANTED['cookie']}",
        "User-Agent": PLANTED["agent"],
        "X-Forwarded-For": PLANTED["forwarded"],
        "traceparent": OURS,
        "tracestate": f"vendor={PLANTED['state']}",
        "baggage": f"user={PLANTED['baggage']}",
        "Content-Type": "application/json",
    }
    body = json.dumps({PLANTED["field"]: PLANTED["body"]})
    paths = (
        f"/api/v1/{PLANTED['path']}?x={PLANTED['query']}",
        "/api/v1/auth/me?x=" + PLANTED["query"],
    )
    for path in (*paths, "/api/v1/auth/login", "/api/v1/auth/signup"):
        for method in ("GET", "POST", PLANTED["path"][2:]):
            assert requested(site, path, method, body, **sent) >= 400


def by_request(collector, request_id):
    [span] = [
        one for one in collector.spans if one.attributes.get("vaultr.request_id") == request_id
    ]
    return span


def below(collector, span):
    return [one for one in collector.spans if one.parent == span.id]


@pytest.mark.long
def test_workers_flush_spans_at_exit(hour, collector):
    reported = {one.attributes.get("vaultr.request_id") for one in collector.spans}

    assert {f"many-{number}" for number in range(40)} <= reported
    assert len({one.resource["service.instance.id"] for one in collector.spans}) == 2


@pytest.mark.long
def test_trace_names_template_status_id_and_parent(hour, collector):
    span = by_request(collector, "ours-1")

    assert (span.name, span.kind, span.failed) == ("GET /api/v1/vaults", 2, False)
    assert (span.trace, span.parent) == (TRACE, "00f067aa0ba902b7")
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/api/v1/vaults",
        "http.response.status_code": 401,
        "vaultr.request_id": "ours-1",
    }


@pytest.mark.long
def test_unsampled_request_is_not_exported(hour, collector):
    reported = {one.attributes.get("vaultr.request_id") for one in collector.spans}

    assert "unsampled-1" not in reported


@pytest.mark.long
def test_log_line_names_its_trace(hour, collector):
    lines = [json.loads(one) for one in hour.log.read_text().splitlines() if one.startswith("{")]
    requests = {one["request_id"]: one for one in lines if one["event"] == "request"}
    sent = [one for one in lines if one["event"] == "mail.sent"]
    jobs = {one.trace for one in collector.spans if one.name == "job outbox"}

    assert requests["ours-1"]["trace_id"] == TRACE
    reported = by_request(collector, "many-7")
    assert requests["many-7"]["trace_id"] == reported.trace
    assert sent
    assert {one["trace_id"] for one in sent} <= jobs


@pytest.mark.long
def test_signup_and_login_spans_show_what_they_wait_for(hour, collector):
    signups = [one for one in collector.spans if one.name == "POST /api/v1/auth/signup"]
    [signup] = [one for one in signups if one.attributes["http.response.status_code"] == 202]
    logins = [one for one in collector.spans if one.name == "POST /api/v1/auth/login"]
    names = [one.name for one in below(collector, signup)]

    assert {"EVALSHA", "argon2", "INSERT waiting_signups", "INSERT mails", "COMMIT"} <= set(names)
    assert any("argon2" in {part.name for part in below(collector, one)} for one in logins)


@pytest.mark.long
def test_background_job_has_own_trace_with_emails(hour, collector):
    jobs = [one for one in collector.spans if one.name.startswith("job ")]
    [mail] = [one for one in collector.spans if one.name == "SMTP"]
    [outbox] = [one for one in jobs if one.id == mail.parent]

    assert {one.parent for one in jobs} == {""}
    assert (outbox.name, mail.attributes) == ("job outbox", {"vaultr.mail.kind": "verify-email"})
    assert "job sessions-purge" in {one.name for one in jobs}


@pytest.mark.long
def test_probes_are_not_traced(hour, collector):
    assert not [one for one in collector.spans if "/api/ready" in one.name or "health" in one.name]


def test_spans_contain_only_words_of_allow_lists(hour, collector):
    reported = {
        (key, str(value)) for one in collector.spans for key, value in one.attributes.items()
    }

    assert {one for one in reported if not ATTRIBUTES[one[0]].fullmatch(one[1])} == set()
    assert {frozenset(one.resource) for one in collector.spans} == {frozenset(RESOURCE)}
    assert {one.resource["service.name"] for one in collector.spans} == {"vaultr"}


def test_exported_traces_contain_no_secret_address_or_body(hour, collector):
    keys = [value for name, value in hour.environ.items() if name.isupper() and "KEY" in name]
    values = {EMAIL, PASSWORD, SECRET, hour.secret_key, *PLANTED.values(), "127.0.0.1", "gunicorn"}
    values |= {
        hour.environ["JWT_SECRET"],
        hour.environ["PEPPER"],
        *keys,
        hour.environ["DATABASE_URL"],
    }
    heap = b"\0".join(collector.bodies)

    assert found_in(values, heap) == set()
    assert found_in(values, heap + PLANTED["query"].encode()) == {PLANTED["query"]}


@pytest.mark.long
def test_worker_exports_spans_of_its_jobs_until_exit(tmp_path, postgres_url, redis_url):
    url, port = servers.fresh_database(postgres_url), free_port()
    with (
        collecting() as mine,
        running(
            tmp_path, DATABASE_URL=url, REDIS_URL=redis_url, BACKGROUND="process"
        ) as server,
    ):  # fmt: skip
        worker = subprocess.Popen(
            [sys.executable, "-m", "flask", "worker"],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
            env={
                **server.environ, "OTEL_SERVICE_NAME": "vault-worker",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{mine.url}/v1/traces",
                "OTEL_BSP_SCHEDULE_DELAY": "3600000", "METRICS_PORT": str(port),
            },
        )  # fmt: skip
        for line in worker.stdout:
            if '"worker.start"' in line:
                break
        until(lambda: jobs_done(port) >= {"outbox", "measure"})
        worker.terminate()
        printed, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0, printed
        assert {"job outbox", "job measure"} <= {one.name for one in mine.spans}
        assert {one.resource["service.name"] for one in mine.spans} == {"vault-worker"}
    servers.drop_database(url)
