import contextlib
import socket
import threading
import time

import httpcore2
import pytest

from vaultr.client.errors import (
    AnswerInvalid,
    ServerUnreachable,
    UsageError,
)
from vaultr.client.transport.http_transport import Transport


@contextlib.contextmanager
def listening(serve):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        finished = threading.Event()

        def run():
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    serve(connection, finished)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finished.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def dripping_headers(connection, expired):
    connection.sendall(HEADERS)
    while not expired.wait(0.05):
        connection.sendall(b"X-A: b\r\n")


def dripping_body(connection, expired):
    connection.sendall(HEADERS + b"Content-Length: 100000\r\n\r\n")
    while not expired.wait(0.05):
        connection.sendall(b" ")


def silent(connection, expired):
    expired.wait(10)


@pytest.mark.parametrize("serve", [dripping_headers, dripping_body, silent])
def test_dripping_response_ends_at_time_limit(serve, time_limit):
    def ask():
        with listening(serve) as url, contextlib.closing(Transport(url, answer_seconds=0.5)) as own:
            began = time.monotonic()
            with pytest.raises(ServerUnreachable, match="in time"):
                own.send("POST", "/x", {})
            took.append(time.monotonic() - began)

    took = []
    while len(took) < 5 and min(took, default=9) >= time_limit(2):
        ask()

    assert min(took) < time_limit(2)


def test_endless_response_ends_at_its_limit():
    def endless(connection, expired):
        connection.sendall(HEADERS + b"Transfer-Encoding: chunked\r\n\r\n")
        while not expired.is_set():
            connection.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")

    with listening(endless) as url:
        transport = Transport(url, answer_bytes=100_000)

        with pytest.raises(AnswerInvalid, match="100000"):
            transport.send("GET", "/x")

        transport.close()


def test_truncated_response_is_rejected():
    def cut(connection, expired):
        connection.sendall(HEADERS + b"Content-Length: 10\r\n\r\n{}")

    with listening(cut) as url:
        transport = Transport(url)

        with pytest.raises(ServerUnreachable):
            transport.send("POST", "/x", {})

        transport.close()


def test_proxy_variables_are_ignored(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    def serve(connection, expired):
        connection.sendall(HEADERS + b"Content-Length: 2\r\n\r\n{}")

    with listening(serve) as url:
        transport = Transport(url)

        assert transport.send("GET", "/x").body == {}

        transport.close()


def test_missing_ca_file_is_reported_by_name(tmp_path):
    with pytest.raises(UsageError, match=r"none\.pem"):
        Transport("https://vault.example", ca_file=tmp_path / "none.pem")


class Elsewhere(httpcore2.SyncBackend):
    """A resolver that points every name to an external address, and stores what would be sent."""

    sent = []

    def connect_tcp(self, *where, **more):
        return self

    def get_extra_info(self, info):
        return ("192.0.2.7", 80) if info == "server_addr" else None

    def write(self, data, timeout=None):
        self.sent.append(data)

    def close(self):
        pass


@pytest.mark.parametrize("host", ["localhost", "vault.localhost"])
def test_plain_http_rejects_loopback_name_resolving_elsewhere(monkeypatch, host):
    monkeypatch.setattr("httpcore2.SyncBackend", Elsewhere)
    transport = Transport(f"http://{host}")

    with pytest.raises(ServerUnreachable, match="not this machine"):
        transport.send("POST", "/auth/login", {"auth_key": "secret"})

    assert Elsewhere.sent == []
