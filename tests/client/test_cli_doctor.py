import http.server
import json
import socket
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate

import pytest

from tests.harness.client.devices import NOBODY, Device
from tests.harness.client.doctor_findings import findings
from tests.harness.client.tls_server import certificate, serving
from vaultr import Vaultr
from vaultr.client.doctor.checkup import checkup


def test_healthy_device_passes_every_check(device):
    device.done("sync")

    found = findings(device)

    assert {each["state"] for each in found.values()} == {"ok"}
    assert set(found) == {
        *("version", "folder", "account", "secret key", "keyring", "unlocked", "copy"),
        *("server", "TLS", "clock", "session", "clipboard"),
    }
    assert found["account"]["said"].startswith(f"{device.email} at http://127.0.0.1:")
    assert "more minutes" in found["unlocked"]["said"]
    assert ".key" in found["secret key"]["said"]
    assert "less than a minute old" in found["copy"]["said"]
    assert found["session"]["said"] == "This device is logged in."


def test_doctor_prints_lines_without_password_prompt(device):
    result = device.types("doctor", password=None)

    assert (result.returncode, result.stderr) == (0, "")
    assert all(line.startswith("ok    ") for line in result.stdout.splitlines())


def test_new_device_gets_next_steps(site, tmp_path):
    found = findings(Device(tmp_path / "home", site.url))

    assert found["account"]["state"] == "warn"
    assert "vaultr signup" in found["account"]["advice"]
    assert found["server"]["state"] == "ok"


def test_unreachable_server_fails_with_its_exit_code(tmp_path):
    found = findings(Device(tmp_path / "home", NOBODY), code=4)

    assert found["server"]["state"] == "fail"
    assert "refused" in found["server"]["said"]
    assert "clipboard" in found, "the other checks still run"


def test_permissions_for_others_are_reported_with_a_fix(account, site, tmp_path):
    other = Device(tmp_path / "home", site.url)
    other.done("login", "--email", account.email, secret_key=account.made["secret_key"])
    folder = tmp_path / "home" / "vaultr"
    (folder / "account.json").chmod(0o644)

    found = findings(other, code=1)

    assert "account.json" in found["folder"]["said"]
    assert found["folder"]["advice"] == f"Remove their permissions: chmod -R go= {folder}"


def test_altered_file_is_an_integrity_error(account, site, tmp_path):
    other = Device(tmp_path / "home", site.url)
    other.done("login", "--email", account.email, secret_key=account.made["secret_key"])
    file = tmp_path / "home" / "vaultr" / "account.json"
    file.write_bytes(file.read_bytes().replace(b"argon2id", b"argon2ix"))

    found = findings(other, code=5)

    assert "account.json" in found["account"]["said"]


def test_secret_like_variable_is_reported_without_its_value(device):
    found = findings(device, env=[("VAULTR_PASSWORD", "hunter2 in the environment")])

    assert found["environment"]["state"] == "warn"
    assert "VAULTR_PASSWORD" in found["environment"]["said"]
    assert "hunter2" not in json.dumps(found)


def test_bad_certificate_fails_and_good_one_shows_expiry(tmp_path):
    device = Device(tmp_path / "home", NOBODY)
    (tmp_path / "ca").mkdir()
    files = certificate(tmp_path / "ca")

    with serving(files) as (url, received):
        found = findings(device, "--url", url, code=4)
        assert "certificate" in found["server"]["said"]
        assert "--ca-file" in found["server"]["advice"]
        assert received == []
        found = findings(device, "--url", url, "--ca-file", str(files[0]), code=4)
        assert "is not a Vaultr server" in found["server"]["said"]


@contextmanager
def answering(*, seconds=0, ready=200, body=b'{"ready":true,"degraded":[]}'):
    """A server that responds to probes, with a clock that is off by this many seconds."""

    class Probes(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            health = self.path == "/api/health"
            data = b'{"status":"healthy"}' if health else body
            self.send_response(200 if health else ready)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def date_time_string(self, timestamp=None):
            return formatdate(time.time() + seconds, usegmt=True)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Probes) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("seconds", "state", "code"), [(5, "ok", 0), (-90, "warn", 0), (4000, "fail", 1)]
)
def test_clock_difference_sets_state_and_exit_code(tmp_path, seconds, state, code):
    with answering(seconds=seconds) as url:
        found = findings(Device(tmp_path / "home", url), code=code)

    assert found["clock"]["state"] == state


def test_doctor_reports_degraded_or_unready_server(tmp_path):
    with answering(ready=503, body=b'{"ready":false}') as url:
        away = findings(Device(tmp_path / "home", url))
    with answering(body=b'{"ready":true,"degraded":["redis"]}') as url:
        less = findings(Device(tmp_path / "home", url))

    assert away["server ready"]["state"] == "warn"
    assert "without redis" in less["server ready"]["said"]


def test_silent_server_does_not_hang_doctor(tmp_path, monkeypatch):
    monkeypatch.setattr("vaultr.client.transport.http_transport._PROBE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        vaultr = Vaultr(url, home=tmp_path / "home", agent=False)
        found = {each.name: each for each in checkup(vaultr.device)}
        vaultr.close()

    assert found["server"].exit_code == 4
    assert "did not respond in time" in found["server"].said
