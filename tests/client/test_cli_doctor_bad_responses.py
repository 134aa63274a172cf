"""The doctor with unexpected responses to its probes: check results, no crash."""

import json

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.wsgi_server import WsgiServer


def doctored(tmp_path, body):
    """Return the doctor's results by name."""

    def app(environ, start_response):
        start_response("200 -", [("Content-Type", "application/json")])
        return [body]

    listening = WsgiServer(app)
    try:
        device = Device(tmp_path / "home", listening.url)
        result = device.types("doctor", "--json", password=None)
    finally:
        listening.close()
    assert result.returncode in (0, 1, 4), result.stderr
    return {each["name"]: each["said"] for each in json.loads(result.stdout)["findings"]}


@pytest.mark.parametrize("body", [
    b"[" * 200_000, b'{"status":' * 100_000, b"\xff", b"9" * 10_000,
    b'{"status":"healthy","degraded":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
], ids=["list", "object", "bytes", "number", "degraded"])  # fmt: skip
def test_unexpected_probe_response_is_not_vaultr(tmp_path, body):
    assert "is not a Vaultr server" in doctored(tmp_path, body)["server"]
