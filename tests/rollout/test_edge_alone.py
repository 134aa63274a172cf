"""The TLS edge with a fake server: which requests it forwards, changes or rejects."""

import json
import socket
import ssl
import threading
import time

import pytest

from tests.rollout.compose_processes import HOST, Site, make_secrets

LARGE = 6 * 1024 * 1024  # a page of a sync: 4 MiB, as base64
FORGED = {
    "X-Forwarded-For": "10.9.8.7", "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil", "X-Forwarded-Port": "1", "X-Forwarded-Proto": "https",
    "X-Real-IP": "10.9.8.7", "Forwarded": "for=10.9.8.7;host=evil.example", "Script-Name": "/evil",
}  # fmt: skip


class RecordingServer:
    """A server that stores its requests, and how long sending each response took."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.heads = []
        self.seconds = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection, connection.makefile("rb") as file:
            head = b"".join(iter(file.readline, b"\r\n"))
            self.heads.append(head.decode())
            length = LARGE if b"/large" in head else 2
            began = time.monotonic()
            answer = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            connection.sendall(answer.encode() + b"x" * length)
            self.seconds.append(time.monotonic() - began)


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    folder.chmod(0o755)
    site = Site(folder)
    make_secrets(site.secrets)
    site.server = RecordingServer()
    site.ports["app1"] = site.server.port
    site.https, site.http = site.edge()
    yield site
    site.stop("edge")
    site.server.close()


def test_slow_reader_occupies_no_server_thread(edge):
    """A page of a sync is large; on a slow connection it takes a minute."""
    before = len(edge.server.seconds)
    slow = [_connected(edge) for _ in range(20)]
    try:
        for connection in slow:
            connection.sendall(_head("GET", "/large"))
        until = time.monotonic() + 10
        while len(edge.server.seconds) < before + 20 and time.monotonic() < until:
            time.sleep(0.05)

        assert len(edge.server.seconds) == before + 20
        answer = b""
        while part := slow[0].recv(1 << 20):
            answer += part
        assert answer.partition(b"\r\n\r\n")[2] == b"x" * LARGE
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(("scheme", "path"), [("https", "/api/v1/vaults"), ("http", "/api/ready")])
def test_edge_replaces_forged_forwarding_headers(edge, scheme, path):
    port = edge.https if scheme == "https" else edge.http

    edge.ask(port, path, scheme=scheme, headers=FORGED)

    reported = dict(line.split(": ", 1) for line in edge.server.heads[-1].splitlines()[1:])
    reported = {name.lower(): value for name, value in reported.items()}
    assert reported["x-forwarded-for"] == "127.0.0.1"
    assert reported["x-forwarded-proto"] == scheme
    others = {name.lower() for name in FORGED} - {"x-forwarded-for", "x-forwarded-proto"}
    assert others & {*reported} == set()


@pytest.mark.parametrize(
    ("start", "more", "statuses"),
    [
        ("TRACE / HTTP/1.1", {}, {405}),
        ("GET / HTTP/9.9", {}, {400}),
        ("GET /\x00 HTTP/1.1", {}, {400}),
        ("GET /%00 HTTP/1.1", {}, {400}),
        ("POST / HTTP/1.1", {"Content-Length": "5", "Transfer-Encoding": "chunked"}, {400}),
        ("POST / HTTP/1.1", {"Content-Length": "5, 6"}, {400}),
        ("POST / HTTP/1.1", {"Content-Length": "-1"}, {400}),
        ("POST / HTTP/1.1", {"Transfer-Encoding": "identity, chunked"}, {400}),
        ("POST / HTTP/1.1", {"Transfer-Encoding": "xchunked"}, {400}),
        ("GET / HTTP/1.1", {"Host": "other.example"}, {400}),
    ],
)
def test_ambiguous_requests_are_rejected_by_proxy(edge, start, more, statuses):
    before = len(edge.server.heads)
    with _connected(edge) as connection:
        lines = [start, f"Host: {HOST}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in more.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")

    assert int(head.split()[1]) in statuses
    assert json.loads(body)["type"].startswith("urn:vaultr:problem:")
    assert head.count(b"X-Content-Type-Options: nosniff") == 1
    assert len(edge.server.heads) == before


@pytest.mark.parametrize("path", ["/-/bad-request", "/.well-known/acme-challenge/none"])
def test_missing_path_returns_404_problem(edge, path):
    port, scheme = (edge.https, "https") if path.startswith("/-/") else (edge.http, "http")

    status, body, headers = edge.ask(port, path, scheme=scheme)

    assert status == 404
    assert json.loads(body)["type"] == "urn:vaultr:problem:not-found"
    assert headers.get_all("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("line", ["TRACE / HTTP/1.1", "GET /%00 HTTP/1.1", "GET / HTTP/9.9"])
def test_plain_http_port_rejects_malformed_request_lines(edge, line):
    with socket.create_connection(("127.0.0.1", edge.http), timeout=10) as connection:
        connection.sendall(f"{line}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")

    assert int(head.split()[1]) in (400, 405)
    assert json.loads(body)["type"].startswith("urn:vaultr:problem:")


def _head(method, path):
    return f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()


def _connected(edge):
    context = ssl.create_default_context(cafile=str(edge.secrets / "tls.crt"))
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.settimeout(15)
    plain.connect(("127.0.0.1", edge.https))
    return context.wrap_socket(plain, server_hostname=HOST)
