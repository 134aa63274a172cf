"""The edge loads a renewed certificate without failing a request."""

import os
import shutil
import socket
import ssl
import subprocess
import time

import pytest

from tests.harness.mail_servers import Certificate
from tests.rollout import tools
from tests.rollout.compose_processes import HOST, Site
from tests.rollout.load import Load

HOOK = tools.ROOT / "deploy" / "certbot" / "deploy-hook"
# All clients have one address.
SERVER = {
    "WEB_CONCURRENCY": "1", "LIMIT_ANONYMOUS": "1000000/60", "PARALLEL_REQUESTS": "1000",
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("renewal")
    folder.chmod(0o755)
    with Site(folder) as site:
        site.start("app1", **SERVER)
        site.https, _ = site.edge()
        yield site


def renewed(folder, certificate=None, key=None):
    """Store a certificate and its key like certbot."""
    lineage = folder / "live"
    lineage.mkdir()
    pair = Certificate(folder, HOST)
    shutil.copy((certificate or pair).file, lineage / "fullchain.pem")
    shutil.copy((key or pair).key, lineage / "privkey.pem")
    return lineage


def run(site, lineage):
    process = site.running["edge"]
    environ = {
        **os.environ,
        "RENEWED_LINEAGE": str(lineage), "SECRETS": str(site.secrets),
        "RELOAD": f"kill -HUP {process.pid}",
    }  # fmt: skip
    return subprocess.run([HOOK], env=environ, capture_output=True, text=True)


def shown(site):
    """Return the certificate that the edge currently sends."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", site.https), timeout=5)
    with plain, context.wrap_socket(plain, server_hostname=HOST) as secure:
        return ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True))


def test_edge_loads_renewed_certificate_without_failed_request(site, tmp_path):
    lineage = renewed(tmp_path)
    before = shown(site)

    with Load(site.https, 4) as load:
        time.sleep(0.3)
        done = run(site, lineage)
        time.sleep(1)

    assert done.returncode == 0, done.stderr
    assert load.failed == []
    assert shown(site) != before
    assert shown(site).split() == (lineage / "fullchain.pem").read_text().split()


def test_mismatched_certificate_and_key_are_rejected(site, tmp_path):
    (tmp_path / "other").mkdir()
    lineage = renewed(tmp_path, key=Certificate(tmp_path / "other", HOST))
    before = shown(site)

    done = run(site, lineage)

    assert done.returncode == 1
    assert "do not belong together" in done.stderr
    assert shown(site) == before


def test_hook_without_renewed_lineage_fails(site):
    environ = {name: text for name, text in os.environ.items() if name != "RENEWED_LINEAGE"}

    done = subprocess.run([HOOK], env=environ, capture_output=True, text=True)

    assert done.returncode != 0
    assert "RENEWED_LINEAGE" in done.stderr
