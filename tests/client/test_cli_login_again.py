"""`vaultr login` again on a device, with a real server that may respond to the end of the old
session with anything: each device has one session.
"""

import contextlib
import json
import signal
import socket
import time

import pytest

from tests.harness.client.devices import Device, started
from tests.harness.client.logout_proxy import LogoutProxy
from tests.harness.client.mailbox import link, mailed
from tests.harness.client.owners import owner, second
from tests.harness.timing import quickest

HEAD = b"HTTP/1.1 %s\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: %s\r\n"


def test_repeated_logins_of_a_device_leave_one_session(site, tmp_path):
    first = owner(site, tmp_path, "signs-in-twice@example.org")
    other = second(site, tmp_path, first)
    before = {each["id"]: each["current"] for each in first.run_json("sessions", "list")}

    for _ in range(2):
        first.done("login")

    listed = {each["id"]: each["current"] for each in first.run_json("sessions", "list")}
    assert sorted(listed.values()) == sorted(before.values()) == [False, True]
    assert [each for each in listed if each in before] == [
        each for each, current in before.items() if not current
    ]
    other.done("sync")
    other.done("login")
    assert len(other.run_json("sessions", "list")) == 2


def test_login_with_new_device_name_appears_in_sessions(site, tmp_path):
    first = owner(site, tmp_path, "renamed@example.org")

    first.done("login", "--device-name", "Desk")

    assert [each["device"] for each in first.run_json("sessions", "list")] == ["Desk"]


def test_running_command_and_agent_continue_after_login(site, tmp_path):
    first = owner(site, tmp_path, "running@example.org").with_agent()
    first.done("unlock")
    document = {"overview": {"title": "running"}, "detail": {"variables": {"N": "1"}}}
    first.done("add", "env_set", "--json", stdin=json.dumps(document), password=None)
    program = "trap 'exit 0' TERM; echo \"n is $N\"; while :; do sleep 0.1; done"
    words = ("run", "--env-set", "running", "--watch", "--every", "0.2", "--", "sh", "-c", program)
    with started(first, *words, program=first.program) as running:
        try:
            assert running.stdout.readline() == "n is 1\n"

            first.done("login")
            assert len(first.run_json("sessions", "list", password=None)) == 1
            change = {"detail": {"variables": {"N": "2"}}}
            first.done("edit", "running", "--json", stdin=json.dumps(change), password=None)

            assert running.stdout.readline() == "n is 2\n"
            running.send_signal(signal.SIGTERM)
            assert running.communicate(timeout=30)[1] == ""
        finally:
            first.done("lock", password=None)


@pytest.fixture(scope="module")
def between(site):
    with LogoutProxy(site.url) as between:
        yield between


@pytest.fixture(scope="module")
def tampered_login(site, between, tmp_path_factory):
    """A device with ``between`` as its server."""
    device = Device(
        tmp_path_factory.mktemp("lied") / "home", between.url, email="lied-to@example.org"
    )
    device.run_json("signup", "--email", device.email)
    device.done("verify", mailed(site, device.email, link("/verify-email"))[-1], password=None)
    device.done("login")
    return device


def answer(status, body=b"", kind=b"application/json", head=b""):
    whole = HEAD % (status, kind) + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return lambda connection: connection.sendall(whole)


def problem(status, slug, head=b""):
    body = {"type": f"urn:vaultr:problem:{slug}", "status": int(status[:3]), "detail": "\x1b[2J!"}
    return answer(status, json.dumps(body).encode(), b"application/problem+json", head)


def raw(data):
    return lambda connection: connection.sendall(data)


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def without_end(connection):
    connection.sendall(
        HEAD % (b"200 OK", b"application/json") + b"Content-Length: 9999999999\r\n\r\n"
    )
    until = time.monotonic() + 30
    while time.monotonic() < until:
        connection.sendall(b"x" * 65536)


def silent(connection):
    connection.settimeout(30)
    with contextlib.suppress(OSError):
        connection.recv(1)


def dripping(connection):
    for each in HEAD % (b"204 No Content", b"x") * 20:
        connection.sendall(bytes([each]))
        time.sleep(0.1)


ACTS = {
    "not found": problem(b"404 Not Found", "not-found"),
    "ended": problem(b"401 Unauthorized", "session-ended"),
    "unauthenticated": problem(b"401 Unauthorized", "unauthenticated"),
    "step-up required": problem(b"403 Forbidden", "step-up-required"),
    "unknown slug": problem(b"418 Teapot", "\x1b[31mred"),
    "busy": problem(b"503 Unavailable", "busy", b"Retry-After: 9\r\n"),
    "too many": problem(b"429 Too Many", "rate-limited", b"Retry-After: 9\r\n"),
    "broken": answer(b"500 Oops", b"<h1>oops</h1>", b"text/html"),
    "redirect": answer(b"307 There", head=b"Location: http://127.0.0.1:9/\r\n"),
    "malformed redirect": answer(b"302 There", head=b"Location: http://[\r\n"),
    "new token": answer(b"200 OK", b'{"access_token":"a","account":{"id":1}}'),
    "cookie": answer(b"200 OK", b"{}", head=b"Set-Cookie: a=b\r\nETag: odd\r\n"),
    "compressed": answer(b"200 OK", b"xx", head=b"Content-Encoding: gzip\r\n"),
    "garbage": raw(b"\x00\xff\x16\x03\x01" * 100),
    "half a status line": raw((HEAD % (b"200 OK", b"x"))[:40]),
    "truncated body": raw(HEAD % (b"200 OK", b"x") + b"Content-Length: 99\r\n\r\nx"),
    "interim": raw(b"HTTP/1.1 103 Early\r\n\r\n" * 2000),
    "long headers": raw(b"HTTP/1.1 204 No\r\n" + b"X-A: b\r\n" * 40_000),
    "no response": lambda connection: None,
    "reset": reset,
    "endless body": without_end,
    "silent": silent,
    "dripping": dripping,
}


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.matrix(6)
def test_login_ignores_the_response_to_ending_old_session(tampered_login, between, name):
    def login():
        between.ends.clear()
        between.act = ACTS[name]
        result = tampered_login.types("login", "--json")
        between.act = None
        assert (result.returncode, result.stderr) == (0, "")
        assert json.loads(result.stdout) == {"email": tampered_login.email, "signed_in": True}
        assert len(between.ends) == 1

    assert quickest(login, within=10, rounds=3) < 10
    tampered_login.done("sync")


def test_server_failing_after_login_changes_nothing(tampered_login, between):
    def away(connection):
        between.act = None
        connection.close()

    between.act = away
    shown = tampered_login.types("login")

    assert shown.returncode == 0
    assert f"logged in as {tampered_login.email}" in shown.stdout
    assert (
        len([each for each in tampered_login.run_json("sessions", "list") if each["current"]]) == 1
    )
