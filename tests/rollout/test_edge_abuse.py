"""An anonymous client and an account abuse the server behind nginx; no request of others fails.

The edge is deploy/nginx/vaultr.conf without TLS, because TLS would take as much CPU time in the
clients of this test as in the edge.
"""

import contextlib
import os
import re
import socket
import subprocess

import pytest

from tests.harness.abuse import abusive_account, check_abuse, started_pod
from tests.harness.servers import free_port
from tests.harness.timing import until
from tests.rollout import tools

QUIET_SECONDS, SECONDS = 30, 120


@contextlib.contextmanager
def edge(folder, server_port):
    """Run nginx with the shipped file, without TLS, in front of a server; yield its port."""
    folder.mkdir()
    port = free_port()
    text = (tools.ROOT / "deploy" / "nginx" / "vaultr.conf").read_text()
    text = text.replace("server app:3000", f"server 127.0.0.1:{server_port}")
    text = re.sub(r"    listen \[::\]:.*\n|    ssl_.*\n|    http2 on;\n", "", text)
    text = text.replace("listen 443 ssl ", f"listen 127.0.0.1:{port} ")
    text = text.replace("listen 80 ", f"listen 127.0.0.1:{free_port()} ")
    text = text.replace("/etc/nginx/vaultr/", f"{folder}/")
    text = text.replace("/dev/stdout", f"{folder}/access").replace(
        "/dev/stderr", f"{folder}/errors"
    )
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nworker_processes 2;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ default_type application/octet-stream; {temporary}{text} }}\n"
    )
    # Its workers write bodies to files in a folder that only this user may enter.
    user = "user root;" if os.geteuid() == 0 else ""
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-g", f"daemon off; {user}"]
    with (folder / "out").open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        until(lambda: _listens(port))
        yield port
        assert process.poll() is None
    finally:
        process.terminate()
        process.wait()


def _listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True


@pytest.mark.long
def test_abuse_through_edge_does_not_affect_other_users(tmp_path):
    with started_pod(tmp_path, alone=True, TRUSTED_PROXIES="1") as pod:
        mallory = abusive_account(pod)
        with edge(tmp_path / "edge", pod.server.port) as pod.port:
            check_abuse(pod, mallory, QUIET_SECONDS, SECONDS, tmp_path, alone=True)
