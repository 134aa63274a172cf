"""gunicorn with its configuration: its output, its draining, and what its children share."""

import contextlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.harness import servers
from tests.harness.gunicorn_server import ROOT, SERVER, Running, running
from vaultr.gunicorn_hooks import address, greeting
from vaultr.settings.model import Settings


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """A server for tests that do not change it."""
    home = tmp_path_factory.mktemp("lasting")
    with running(home, forks=False, HOME=str(home)) as server:
        yield server


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_sigterm_makes_not_ready_drains_and_exits_cleanly(tmp_path):
    with running(tmp_path, forks=False, DRAIN_SECONDS="6") as server:
        assert server.get("/api/ready")[:2] == (200, b'{"ready":true,"degraded":[]}')

        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        wait_for(lambda: server.logged("server.draining"))
        status, body, headers = server.get("/api/ready")
        answered = []
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 60:
                answered.append(server.get("/api/v1/openapi.json")[0])
                time.sleep(0.05)

        assert status == 503
        assert body == (b'{"ready":false,"error":"Dependencies unavailable","failed":["draining"]}')
        assert headers["Retry-After"] == "1"
        assert time.monotonic() - began >= 5.9
        assert set(answered) == {200}
        assert server.process.wait(30) == 0
        assert len(server.logged("server.draining")) == 1


@pytest.mark.long
def test_second_sigterm_ends_server_immediately(tmp_path):
    with running(tmp_path, forks=False, DRAIN_SECONDS="24") as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.logged("server.draining"))
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(60) == 0


def test_server_exits_when_its_terminal_closes(tmp_path):
    with running(tmp_path, forks=False) as server:
        server.process.send_signal(signal.SIGHUP)

        assert server.process.wait(60) == 0


@pytest.mark.long
def test_taken_address_is_reported_and_no_listener_announced(tmp_path, lasting):
    server = Running(tmp_path, forks=False, PORT=str(lasting.port))

    done = subprocess.run(SERVER, cwd=ROOT, env=server.environ, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"Another program uses port {lasting.port}. Use another one: make run"
        f" PORT={lasting.port + 1}"
    ]


def test_killed_worker_is_replaced_and_new_one_drains(tmp_path, postgres_url, redis_url):
    url = servers.fresh_database(postgres_url)
    more = {"DATABASE_URL": url, "REDIS_URL": redis_url, "WEB_CONCURRENCY": "2"}
    with running(tmp_path, forks=False, DRAIN_SECONDS="6", **more) as server:
        master = psutil.Process(server.process.pid)
        wait_for(lambda: len(master.children()) == 2)
        killed = master.children()[0]
        killed.kill()
        wait_for(lambda: len(master.children()) == 2 and killed not in master.children())
        wait_for(server.answers)

        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.logged("server.draining"))
        assert {server.get("/api/ready")[0] for _ in range(10)} == {503}

        assert server.process.wait(30) == 0
    servers.drop_database(url)


@pytest.mark.long
def test_worker_ending_cleanly_records_end_of_its_writers(tmp_path):
    with running(tmp_path, forks=False) as server:
        body = (
            b'{"email":"ann@example.org","auth_key":"' + b"A" * 43 + b'",'
            b'"device":{"id":"0a1b2c3d-0000-4000-8000-00000000000f","name":"x"}}'
        )
        head = f"POST /api/v1/auth/login HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        assert b" 401 " in server.raw(f"{head}Connection: close\r\n\r\n".encode() + body)
        assert server.stop() == 0

    with contextlib.closing(sqlite3.connect(tmp_path / "vaultr.sqlite3")) as database:
        events = [kind for (kind,) in database.execute("SELECT typ FROM audit_event")]
    assert events.count("writer.start") == events.count("writer.stop") > 0


@pytest.mark.long
def test_terminal_lists_services_and_production_settings(tmp_path):
    screen, terminal = pty.openpty()
    server = Running(tmp_path)
    process = subprocess.Popen(SERVER, cwd=ROOT, env=server.environ, stdout=terminal)
    os.close(terminal)
    try:
        shown = ""
        while "flask check" not in shown:
            shown += os.read(screen, 4096).decode()
    finally:
        process.terminate()
        process.wait(60)
        os.close(screen)

    first = shown[shown.index("Vaultr (") :].splitlines()
    assert f"(development) listens on 127.0.0.1:{server.port}" in first[0]
    assert f"Under {tmp_path}: SQLite database, generated keys, emails (mail/*.eml)." in first[1]
    assert "Limits are counted in memory." in first[1]
    for name in ("DATABASE_URL", "REDIS_URL", "BASE_URL", "SMTP_HOST", "flask keys generate"):
        assert name in " ".join(first[2:])


@pytest.mark.long
def test_output_without_terminal_is_json_lines(tmp_path):
    with running(tmp_path, forks=False) as server:
        server.get("/api/v1/openapi.json?hunter2=hunter2")
        server.get("/api/v1/hunter2")
        server.stop()
        lines = [json.loads(line) for line in server.printed().splitlines()]

    assert all({"time", "level", "event", "request_id"} <= line.keys() for line in lines)
    [bad, missing] = [line for line in lines if line["event"] == "request"]
    assert (bad["method"], bad["route"], bad["status"], bad["problem"]) == (
        *("GET", "/api/v1/openapi.json", 400),
        "bad-request",
    )
    assert (missing["route"], missing["status"]) == ("-", 404)
    assert "hunter2" not in server.printed()


def test_unreachable_database_is_logged_once_at_start(tmp_path, postgres_url, redis_url):
    url = servers.fresh_database(postgres_url)
    servers.drop_database(url)
    server = Running(
        tmp_path, forks=False, DATABASE_URL=url, REDIS_URL=redis_url, WEB_CONCURRENCY="2"
    )

    server.start()
    try:
        wait_for(lambda: server.logged("database.unreachable"))
        status = server.get("/api/ready")[0]
        failed = server.logged("job.failed")
        servers.fresh_database(postgres_url, name=servers.database_name(url))
        wait_for(lambda: server.logged("database.reached"))
    finally:
        server.stop()
        servers.drop_database(url)

    assert (status, failed) == (503, [])
    [line] = server.logged("database.unreachable")
    assert "the role or database does not exist. Vaultr keeps trying" in line["message"]
    assert len(server.logged("database.reached")) == 1


def test_invalid_settings_stop_server_with_one_message(tmp_path):
    server = Running(tmp_path, forks=False, PORT="many", TRUSTED_PROXIES="-1")

    with pytest.raises(RuntimeError) as error:
        server.start()

    assert "Fix these settings" in str(error.value)
    assert "PORT: " in str(error.value)
    assert "TRUSTED_PROXIES: " in str(error.value)
    assert "Traceback" not in str(error.value)
    assert server.process.returncode == 1


def test_no_control_socket_is_opened(lasting):
    family = [psutil.Process(lasting.process.pid)]
    family += family[0].children(recursive=True)
    sockets = [one for process in family for one in process.net_connections("unix")]

    assert [one.laddr for one in sockets if one.laddr] == []
    assert not Path(lasting.environ["HOME"], ".gunicorn").exists()


def test_headers_of_untrusted_proxy_are_ignored(lasting):
    forged = (
        f"GET /api/v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{lasting.port}\r\n"
        "Connection: close\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\n"
        "X-Forwarded-Protocol: ssl\r\nScript-Name: /api\r\nX_Request_Id: forged\r\n\r\n"
    )

    answer = lasting.raw(forged.encode())

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"Strict-Transport-Security" not in answer
    assert b"X-Request-Id: forged" not in answer


@pytest.mark.long
@pytest.mark.parametrize(
    ("bind", "listens"),
    [
        *(("127.0.0.1", "127.0.0.1:3000"), ("0.0.0.0", "0.0.0.0:3000"), ("", "127.0.0.1:3000")),
        *(("127.0.0.1:80", "127.0.0.1:80"), ("::1", "[::1]:3000"), ("::", "[::]:3000")),
        *(("[::1]", "[::1]:3000"), ("[::1]:80", "[::1]:80"), ("vault.local", "vault.local:3000")),
    ],
)
def test_bind_accepts_ipv4_and_ipv6_with_or_without_port(tmp_path, bind, listens):
    home = {"VAULTR_HOME": str(tmp_path), "BIND": bind}

    assert address(Settings.from_environ(home)) == listens


@pytest.mark.long
def test_startup_message_lists_the_addresses(tmp_path):
    home = {"VAULTR_HOME": str(tmp_path), "VAULTR_ENV": "development"}
    sent = {**home, "SMTP_HOST": "localhost", "REDIS_URL": "redis://cache"}

    assert "mails (mail/*.eml)" in greeting(Settings.from_environ(home))
    assert "mails" not in greeting(Settings.from_environ(sent))
    assert "in Redis" in greeting(Settings.from_environ(sent))
