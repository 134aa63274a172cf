"""`vaultr` with a server that does not respond, or rejects a profile and shows it later."""

import contextlib
import itertools
import json
import threading
import time
from types import SimpleNamespace

import httpx2
import pytest

from tests.harness.client.world import PASSWORD, mail
from tests.harness.runtime_folder import RuntimeFolder
from vaultr.client.background.agent_client import AgentClient
from vaultr.client.errors import ServerUnreachable, Unavailable
from vaultr.client.transport import http_transport
from vaultr.client.transport.http_transport import Transport
from vaultr.client.transport.retry import RetryPolicy

NEW = "another master password"


@pytest.fixture
def silent(proxy, monkeypatch):
    """An owner with an agent; after `proxy.stop_responding()` the server does not respond."""
    runtime, speak = RuntimeFolder(), threading.Event()
    for name, value in {"XDG_RUNTIME_DIR": runtime.path, "VAULTR_AGENT": "on"}.items():
        monkeypatch.setenv(name, value)
    proxy.kept_environ = ("XDG_RUNTIME_DIR", "VAULTR_AGENT")
    proxy.agent = AgentClient(proxy.folder / "laptop")
    proxy.stop_responding = lambda: setattr(proxy.server, "before", lambda *_: speak.wait(60))
    assert proxy.types("unlock").code == 0
    for title in ("New", "Newer"):  # the second head is not in the profile yet
        stdin = json.dumps({"overview": {"title": title}, "detail": {"password": "x"}})
        assert proxy.types("add", "login", "--json", stdin=stdin, password=None).code == 0
    yield proxy
    speak.set()
    proxy.agent.end()
    proxy.kept_environ = ()


@pytest.mark.parametrize("command", ["lock", "logout"])
def test_lock_forgets_keys_before_contacting_the_server(silent, command):
    finished = []
    typing = threading.Thread(
        target=lambda: finished.append(silent.types(command, password=None)), daemon=True
    )
    assert silent.agent.is_holding_key()
    silent.stop_responding()
    began = len(silent.server.requests)

    typing.start()
    while len(silent.server.requests) == began and typing.is_alive():
        time.sleep(0.02)

    assert typing.is_alive()  # it is still waiting for the server
    assert not silent.agent.is_holding_key()
    typing.join(timeout=60)
    assert finished[0].code == 4
    assert "did not respond in time" in finished[0].err


def test_offline_command_sends_nothing_during_pending_password_change(proxy):
    def tamper(method, path, status, body):
        if path.endswith("/auth/me") and proxy.server.account["account_key"]["epoch"] == 2:
            return 503, {"type": "urn:vaultr:problem:unavailable", "status": 503}
        return status, body

    proxy.server.tamper = tamper
    with contextlib.suppress(Unavailable), proxy.opened() as laptop:
        laptop.change_password(PASSWORD, NEW, new_key=False)
    assert (proxy.folder / "laptop" / "changing.json").exists()
    sent = len(proxy.server.requests)

    old = proxy.types("list", "--offline")
    shown = proxy.types("show", "Mail", "--reveal", "--offline")

    assert old.code == 0, old.err
    assert "first Mail" in shown.out
    assert len(proxy.server.requests) == sent


def answering(*results):
    """Return a transport whose requests end with ``results``, and the times when they were sent."""
    left, sent = iter(results), []

    def handle(request):
        sent.append(request)
        raise next(left)

    return httpx2.MockTransport(handle), sent


def test_timed_out_request_is_not_retried():
    carrier, sent = answering(httpx2.ReadTimeout("silent"))

    with pytest.raises(ServerUnreachable) as caught:
        Transport("https://vault.example", transport=carrier).send("GET", "/auth/me")

    assert caught.value.timed_out
    assert len(sent) == 1


def test_request_with_lost_responses_ends_within_ninety_seconds(monkeypatch):
    now = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(http_transport, "time", clock)

    def handle(request):
        now[0] += 40
        raise httpx2.ReadError("lost")

    retries = RetryPolicy(
        tries=4,
        first_pause_seconds=0.25,
        longest_pause_seconds=10.0,
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
    )
    transport = Transport(
        "https://vault.example", transport=httpx2.MockTransport(handle), retries=retries
    )

    with pytest.raises(ServerUnreachable):
        transport.send("GET", "/auth/me")

    assert 1080 < now[0] < 1125  # the third attempt began before the limit; there was no fourth


def test_slow_command_prints_what_it_waits_for(proxy):
    reported = threading.Event()
    proxy.server.before = lambda *_: reported.wait(20)
    seen = []

    def waiting(origin):
        seen.append(origin)
        reported.set()

    Transport(proxy.url, waiting=waiting).send("POST", "/auth/prelogin", {"email": "a@b.example"})

    assert seen == [proxy.url]


def profiles_sent(proxy):
    sent = proxy.server.requests
    return [
        json.loads(body) for verb, path, body in sent if (verb, path) == ("PUT", "/auth/profile")
    ]


@pytest.mark.parametrize("rejections", [1, 2])
def test_rejected_profile_is_superseded_before_it_can_be_shown(proxy, rejections):
    with proxy.opened() as laptop:
        laptop.create_vault("Work")
        laptop.add("login", *mail("Ship"), vault="Work")
    with proxy.opened("phone") as phone:
        phone.sync()
    numbers = itertools.count()
    proxy.reject("PUT", "/auth/profile", when=lambda: next(numbers) < rejections)
    sent = len(profiles_sent(proxy))

    result = proxy.types("vaults", "rm", "Work", "--confirm", "Work")

    assert result.code == 1
    rejected = profiles_sent(proxy)[sent]
    if rejections == 2:  # the next command does it
        assert proxy.types("list").code == 0
    proxy.be_honest()
    assert proxy.server.account["profile"]["revision"] >= rejected["revision"]
    with proxy.opened("phone") as phone:
        phone.sync()

    def tamper(body):
        body["key_set"]["profile"] = rejected
        return body

    proxy.change("GET", "/auth/me", tamper)
    assert proxy.types("sync", on="phone").code == 5
    assert "Ship" in proxy.types("list", "--offline", on="phone").out
