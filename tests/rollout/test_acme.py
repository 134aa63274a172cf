"""Certificates from a real ACME server: certbot gets one through the edge, and renews it."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from tests.harness import servers
from tests.harness.mail_servers import Certificate
from tests.rollout import tools
from tests.rollout.compose_processes import HOST, Site
from tests.rollout.load import Load

HOOK = tools.ROOT / "deploy" / "certbot" / "deploy-hook"
CLIENTS = 16
# All clients have one address.
SERVER = {
    "WEB_CONCURRENCY": "1", "LIMIT_ANONYMOUS": "1000000/60", "PARALLEL_REQUESTS": "1000",
}  # fmt: skip
START_SECONDS = 60


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site whose edge serves the challenges of certbot."""
    folder = tmp_path_factory.mktemp("acme")
    folder.chmod(0o755)
    (folder / "challenges").mkdir()
    with Site(folder) as site:
        site.start("app1", **SERVER)
        site.https, site.http = site.edge(
            change=lambda text: text.replace("/var/www/acme", str(folder / "challenges"))
        )
        yield site


@pytest.fixture(scope="module")
def authority(site, tmp_path_factory):
    """Pebble, which requests the challenge from the edge, and a separate DNS server."""
    folder = tmp_path_factory.mktemp("pebble")
    shown = Certificate(folder, "localhost")
    dns, directory, management = (servers.free_port() for _ in range(3))
    config = folder / "pebble.json"
    config.write_text(json.dumps({"pebble": {
        "listenAddress": f"127.0.0.1:{directory}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(shown.file), "privateKey": str(shown.key),
        "httpPort": site.http, "tlsPort": site.https,
        "retryAfter": {"authz": 1, "order": 1},
    }}))  # fmt: skip
    environ = {"PATH": os.environ["PATH"], "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    names = ["pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-defaultIPv6", "", "-doh", ""]
    names += ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", ""]
    pebble = ["pebble", "-config", config, "-dnsserver", f"127.0.0.1:{dns}", "-strict"]
    with (
        (folder / "log").open("wb") as out,
        _program(names, environ, out),
        _program(pebble, environ, out),
    ):
        url = f"https://localhost:{directory}/dir"
        _wait(url, folder / "log")
        yield url, shown.file


@contextlib.contextmanager
def _program(command, environ, out):
    process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _wait(url, log):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    until = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(urllib.error.URLError):
            urllib.request.urlopen(url, timeout=5, context=context).close()
            return
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.2)


def _certbot(site, authority, *words):
    """Run certbot as on a host, with separate folders and the hook of deploy/certbot."""
    url, trusted = authority
    places = [
        word for name in ("config", "work", "logs")
        for word in (f"--{name}-dir", str(site.folder / "certbot" / name))
    ]  # fmt: skip
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(site.folder), "REQUESTS_CA_BUNDLE": str(trusted),
        "SECRETS": str(site.secrets), "RELOAD": f"kill -HUP {site.running['edge'].pid}",
    }  # fmt: skip
    command = ["certbot", *words, *places, "--server", url, "--non-interactive"]
    return subprocess.run(command, env=environ, capture_output=True, text=True)


def _shown(site):
    """Return the certificate that the edge currently sends."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", site.https), timeout=5)
    with plain, context.wrap_socket(plain, server_hostname=HOST) as secure:
        return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


def _issued(site):
    text = (site.secrets / "tls.crt").read_text()
    return text.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n"


def test_certificate_is_issued_and_renewed_under_load(site, authority):
    """This is the renewal of certbot's timer, which remembers webroot, server and hook."""
    before = _shown(site)
    issued = _certbot(
        site, authority, "certonly", "--webroot", "--webroot-path",
        str(site.folder / "challenges"), "--domain", HOST, "--deploy-hook", str(HOOK),
        "--register-unsafely-without-email", "--agree-tos",
    )  # fmt: skip
    _until(lambda: _shown(site) != before)
    first = _shown(site)

    with Load(site.https, CLIENTS) as load:
        time.sleep(0.5)
        renewed = _certbot(
            site, authority, "renew", "--force-renewal", "--no-random-sleep-on-renew"
        )
        _until(lambda: _shown(site) != first)
        time.sleep(0.5)

    assert issued.returncode == 0, tools.output_of(issued)
    assert renewed.returncode == 0, tools.output_of(renewed)
    assert len({before, first, _shown(site)}) == 3
    assert _shown(site).split() == _issued(site).split()
    assert {*load.failed} == set()
    assert load.responses > CLIENTS


def _until(done):
    until = time.monotonic() + START_SECONDS
    while not done():
        assert time.monotonic() < until
        time.sleep(0.1)
