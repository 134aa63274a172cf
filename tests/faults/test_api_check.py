"""`python -m vaultr.healthcheck --api`: one request to a real server, as a user would send it."""

import subprocess
import sys

import pytest

from tests.harness.gunicorn_server import ROOT, running

URL = "https://vault.example.org"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    home = tmp_path_factory.mktemp("server")
    proxied = {"BASE_URL": URL, "TRUSTED_PROXIES": "2"}
    with running(home, **proxied) as server:
        yield server


def check(server, *arguments):
    command = [sys.executable, "-m", "vaultr.healthcheck", "--api", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=server.environ, capture_output=True, text=True)
    return done.returncode, done.stderr.strip()


def test_server_that_serves_this_host_passes(server):
    at = f"http://127.0.0.1:{server.port}"

    assert check(server, URL) == check(server, URL, "--at", at) == (0, "")


def test_server_that_rejects_this_host_fails(server):
    code, says = check(server, "https://other.example.org")

    assert code == 1
    assert says.startswith("answered 4")


def test_server_without_response_fails(server):
    code, says = check(server, URL, "--at", "http://127.0.0.1:1")

    assert code == 1
    assert says.startswith("no response: ")
