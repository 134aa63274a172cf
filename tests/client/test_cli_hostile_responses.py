"""Another server replaces the owner's and sends any response: one clear error, no crash, and the
device's data is unchanged.
"""

import contextlib
import copy
import json
import socket
import sys
import threading

import pytest

from tests.harness.client.devices import Device
from tests.harness.client.fake_server import FakeServer
from tests.harness.client.tls_server import certificate, serving
from tests.harness.client.wsgi_server import WsgiServer
from vaultr.client.cli.main import vaultr

# The limits of a whole response, low enough for a test: the size and, for an endless response, the
# time, which other responses may need on a busy machine.
HURRIED = """
import sys
from vaultr.client.transport import http_transport as transport
transport.Transport.__init__.__kwdefaults__.update(answer_seconds={seconds}, answer_bytes=100_000)
transport.RETRIES = transport.RetryPolicy(2, 0.01, 0.02)
from vaultr.client.cli import main
sys.exit(main())
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def whole(head, body=b""):
    return head + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body


ANSWERS = {
    "not JSON": (5, whole(OK, b"<html>welcome</html>")),
    "JSON of another form": (5, whole(OK, b'{"vaults": "none"}')),
    "a list": (5, whole(OK, b"[]")),
    "deep": (5, whole(OK, b'{"a":' * 5000 + b"1" + b"}" * 5000)),
    "HTML": (5, whole(OK.replace(b"application/json", b"text/html"), b"<html>")),
    "empty": (5, whole(OK)),
    "redirect": (5, whole(b"HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\n")),
    "redirect of a POST": (5, whole(b"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\n")),
    "an unknown status": (5, whole(b"HTTP/1.1 299 Fine\r\n", b"{}")),
    "compressed": (5, whole(OK + b"Content-Encoding: gzip\r\n", b"\x1f\x8b\x08")),
    "an error without a problem": (5, whole(b"HTTP/1.1 500 No\r\n", b"Traceback")),
    "escape codes": (1, whole(
        b"HTTP/1.1 409 No\r\nContent-Type: application/problem+json\r\n",
        b'{"type":"urn:vaultr:problem:conflict","status":409,"detail":"\\u001b[2Jfooled"}')),
    "no HTTP": (4, b"220 smtp.example ESMTP\r\n"),
    "cut short": (4, OK + b"Content-Length: 1000\r\n\r\n{"),
    "nothing": (4, b""),
    "huge": (5, whole(OK, b" " * 200_000)),
    "endless": (5, OK + b"Transfer-Encoding: chunked\r\n\r\n1000\r\n" + b" " * 4096 + b"\r\n"),
    "slow": (4, OK + b"Content-Length: 100000\r\n\r\n"),
}  # fmt: skip


def hurried(kind):
    return (sys.executable, "-c", HURRIED.format(seconds=0.5 if kind == "slow" else 30))


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    """A logged-in device whose server is gone; another one has its address."""
    server = WsgiServer(FakeServer().wsgi)
    device = Device(tmp_path_factory.mktemp("hostile") / "home", server.url)
    device.done("signup", "--email", device.email)
    device.done("verify", "token0", password=None)
    device.done("login")
    item = {"overview": {"title": "Mail"}, "detail": {"password": "hunter2"}}
    device.done("add", "login", "--json", stdin=json.dumps(item))
    device = device.with_agent()
    device.done("unlock")
    server.close()
    device.port = int(server.url.rpartition(":")[2])
    device.program = hurried("")
    yield device
    device.types("lock")


@contextlib.contextmanager
def answering(port, answer, kind):
    """Send this response on every connection, endlessly if required; return the requests."""
    requested, finished = [], threading.Event()

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    requested.append(connection.recv(65536))
                    connection.sendall(answer)
                    while kind == "endless" and not finished.is_set():
                        connection.sendall(answer[answer.index(b"1000\r\n") :])
                    while kind == "slow" and not finished.wait(0.05):
                        connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield requested, listener.getsockname()[1]
        finally:
            finished.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("kind", ANSWERS)
def test_unexpected_response_is_one_error_and_preserves_cache(owner, kind):
    code, answer = ANSWERS[kind]
    before = {each: each.read_bytes() for each in (owner.home / "vaultr" / "vaults").iterdir()}
    with answering(0, whole(OK, b"{}"), "") as (elsewhere, port):
        answer = answer.replace(b"{elsewhere}", b"http://127.0.0.1:%d/" % port)
        with answering(owner.port, answer, kind) as (requested, _):
            asking = copy.copy(owner)
            asking.program = hurried(kind)
            message = asking.fails(code, "list")

    assert requested
    assert elsewhere == []
    assert message.count("vaultr: ") in (1, 2), "the error and the advice"
    assert "Traceback" not in message
    assert "\x1b" not in message
    assert {each: each.read_bytes() for each in before} == before
    assert owner.run_json("list", "--offline")[0]["overview"]["title"] == "Mail"


@pytest.mark.parametrize("kind", ["not JSON", "redirect", "slow", "an error without a problem"])
def test_login_at_wrong_server_fails_before_using_the_password(owner, tmp_path, kind):
    code, answer = ANSWERS[kind]
    device = Device(tmp_path / "home", owner.environ["VAULTR_URL"])
    device.program = hurried(kind)

    with answering(owner.port, answer, kind) as (requested, _):
        device.fails(code, "login", "--email", owner.email, secret_key="A" * 43)

    assert all(request.startswith(b"POST /api/v1/auth/prelogin ") for request in requested)


@pytest.mark.parametrize("kind", ["redirect", "HTML", "an error without a problem"])
def test_web_site_is_reported_as_not_vaultr(tmp_path, kind):
    device = Device(tmp_path / "home", "http://127.0.0.1:1")
    with answering(0, ANSWERS[kind][1], kind) as (_, port):
        url = f"http://127.0.0.1:{port}"

        message = device.fails(5, "signup", "--url", url, "--email", "ann@example.org")

    assert f"vaultr: The site {url} is not a Vaultr server: it sent" in message
    assert ".." not in message
    assert "--url or VAULTR_URL" in message


@pytest.mark.parametrize("wrong", ["unknown", "another host's", "ended"])
def test_command_sends_nothing_over_invalid_certificate(tmp_path, wrong):
    host = "127.0.0.2" if wrong == "another host's" else "127.0.0.1"
    files = certificate(tmp_path, host=host, ended=wrong == "ended")
    with serving(files) as (url, received):
        device = Device(tmp_path / "home", url)
        trusted = [] if wrong == "unknown" else ["--ca-file", str(files[0])]
        environ = {"SSL_CERT_FILE": files[0], "REQUESTS_CA_BUNDLE": files[0],
                   "CURL_CA_BUNDLE": files[0], "PYTHONHTTPSVERIFY": "0"}  # fmt: skip
        message = device.fails(
            *(4, "login", "--email", "a@b.example", *trusted),
            secret_key="A" * 43,
            env=[(name, str(file)) for name, file in environ.items()] if wrong == "unknown" else (),
        )

    assert "certificate" in message.lower()
    assert received == []


def test_no_option_disables_certificate_verification():
    def options(command):
        yield from (name for parameter in command.params for name in parameter.opts)
        for each in getattr(command, "commands", {}).values():
            yield from options(each)

    found = [
        each
        for each in options(vaultr)
        if any(w in each for w in ("insecure", "tls", "ssl", "cert"))
    ]
    # The gateway's own certificate; no option disables the verification of certificates.
    assert found == ["--tls-cert", "--tls-key"]
