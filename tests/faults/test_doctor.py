"""`flask doctor` with a real server: each result, and the client address that the server sees."""

import json
import time
import urllib.request

import pytest

from tests.harness.app_fixtures import KEYS
from tests.harness.gunicorn_server import Running, running
from vaultr.health import client_address
from vaultr.settings.loader import generate_keys


def doctor(server, *more):
    """Run it; return its exit code, its results by topic, and its output."""
    done = server.command("doctor", "--json", *more)
    found = json.loads(done.stdout)["findings"] if done.stdout.startswith("{") else []
    topics = {}
    for one in found:
        topics.setdefault(one["topic"], []).append(one)
    return done.returncode, topics, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that trusts one proxy, although there is no proxy."""
    with running(tmp_path_factory.mktemp("doctor"), TRUSTED_PROXIES="1") as running_one:
        yield running_one


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    with running(tmp_path_factory.mktemp("right")) as running_one:
        yield running_one


@pytest.mark.long
def test_healthy_development_server_passes_every_check(right):
    code, topics, printed = doctor(right)

    assert code == 0
    assert topics.keys() == {
        *("settings", "secrets", "database", "schema", "redis", "mail", "clock", "proxy", "disk"),
        *("certificate", "worker", "machines", "backup", "audit"),
    }
    assert topics["proxy"][0]["says"].startswith(
        "the server sees this machine as 127.0.0.1 by http"
    )
    assert not any(text.partition(":")[2] in printed for text in KEYS.values())


def test_server_trusting_forged_address_is_reported(server):
    code, topics, _ = doctor(server)

    assert code == 1
    [finding] = topics["proxy"]
    assert finding["says"] == "the server accepts a client address that the client invented"
    assert "TRUSTED_PROXIES" in finding["todo"]


@pytest.mark.long
def test_server_with_different_keys_is_reported(right, tmp_path):
    other = Running(tmp_path, BASE_URL=right.url, **generate_keys("other"))
    assert other.command("db", "upgrade").returncode == 0
    code, topics, _ = doctor(other)

    assert (code, topics["proxy"][0]["level"]) == (1, "problem")
    assert "keys" in topics["proxy"][0]["says"]


@pytest.mark.long
def test_unusable_settings_are_reported_with_next_steps(tmp_path):
    code, topics, printed = doctor(Running(tmp_path, JWT_SECRET="hunter2", DRAIN_SECONDS="-1"))

    assert (code, topics.keys()) == (1, {"settings"})
    assert len(topics["settings"]) == 2
    assert all(one["todo"] for one in topics["settings"])
    assert "hunter2" not in printed


@pytest.mark.long
def test_text_output_lists_worst_result_last(server):
    lines = server.command("doctor").stdout.splitlines()

    assert lines[0].startswith("ok  ")
    assert lines[-2].startswith("BAD   proxy")


@pytest.mark.parametrize("requested", ["", "0.", "1.ab", "x", "9" * 40 + ".x", f"{2**40}.", "é.x"])
def test_request_without_valid_key_gets_no_client_address(right, requested):
    request = urllib.request.Request(f"{right.url}/api/health")
    request.add_unredirected_header(
        client_address.REQUEST_HEADER, requested.encode().decode("latin-1")
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.headers[client_address.RESPONSE_HEADER] is None
        assert answer.read() == b'{"status":"healthy"}'


@pytest.mark.long
def test_silent_database_is_reported_in_seconds(own_postgres, tmp_path):
    server = Running(tmp_path, DATABASE_URL=own_postgres.url)
    own_postgres.freeze()
    began = time.monotonic()
    code, topics, printed = doctor(server)
    own_postgres.thaw()

    assert code == 1
    assert time.monotonic() - began < 35  # ten for the first request, one for each later one
    [finding] = topics["database"]
    assert "it accepts connections, but does not respond" in finding["says"]
    assert {topics[one][0]["says"] for one in ("worker", "backup", "audit")} == {
        "the database does not respond"
    }
    assert "report it as a bug" not in printed
