"""StatsD metrics: bounded names, datagrams of limited size, and no errors."""

import contextlib
import socket

import pytest

from tests.harness.timing import quickest
from vaultr.observability import statsd
from vaultr.observability.statsd import DATAGRAM_BYTES, MOST_NAMES, Emitter, address_of, name_of


@pytest.fixture
def listener():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(20)
        yield one


def heard(listener, least):
    """Return all lines that were sent, once there are this many."""
    lines = []
    while len(lines) < least:
        lines += listener.recv(65536).decode().splitlines()
    listener.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while True:
            lines += listener.recv(65536).decode().splitlines()
    return lines


def emitter_to(listener):
    return Emitter(f"127.0.0.1:{listener.getsockname()[1]}")


def test_statsd_sums_counts_keeps_last_gauge_and_each_timing(listener):
    emitter = emitter_to(listener)
    for _ in range(3):
        emitter.count("vaultr.logins.ok", 1)
    emitter.gauge("vaultr.outbox_age_seconds", 3)
    emitter.gauge("vaultr.outbox_age_seconds", 12.5)
    emitter.timing("vaultr.auth.login.duration", 0.0425)
    emitter.start()
    emitter.stop()

    assert heard(listener, 3) == [
        "vaultr.logins.ok:3|c",
        "vaultr.outbox_age_seconds:12.5|g",
        "vaultr.auth.login.duration:42.500|ms",
    ]


def test_datagrams_are_bounded_and_lose_no_metric(listener):
    emitter = emitter_to(listener)
    for number in range(500):
        emitter.count(f"vaultr.some_name_that_is_long.{number}", 1)
    emitter.start()
    emitter.stop()
    sizes, lines = [], 0
    while lines < 500:
        datagram = listener.recv(65536)
        sizes.append(len(datagram))
        lines += len(datagram.splitlines())

    assert max(sizes) <= DATAGRAM_BYTES
    assert len(sizes) < 30


def test_metric_names_are_bounded(listener):
    emitter = emitter_to(listener)
    for number in range(MOST_NAMES + 50):
        emitter.count(f"vaultr.{number}", 1)

    assert len(emitter._counts) == MOST_NAMES + 1
    assert emitter._counts["vaultr.other"] == 50


@pytest.mark.parametrize("where", ["no-such-host.invalid", "127.0.0.1:1", "[::1]:9", "\0", "a..b"])
def test_unreachable_statsd_loses_only_metrics(time_limit, where):
    emitter = Emitter(where)
    emitter.start()

    def send():
        for _ in range(1000):
            emitter.timing("vaultr.x", 0.1)

    assert quickest(send, within=time_limit(0.5)) < time_limit(0.5)
    assert emitter._thread.is_alive()
    emitter.stop()


def test_without_statsd_nothing_is_buffered():
    statsd.start(None)

    statsd.count("vaultr.x")
    statsd.gauge("vaultr.x", 1)
    statsd.timing("vaultr.x", 1)

    assert statsd._emitter is None
    statsd.stop()


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("auth.login", "duration"), "vaultr.auth_login.duration"),
        (("requests", "GET", "/api/v1/<uuid:x>"), "vaultr.requests.GET.api_v1_uuid_x"),
        (("x\ny:1|c", ""), "vaultr.x_y_1_c.none"),
    ],
)
def test_metric_name_contains_no_protocol_characters(parts, name):
    assert name_of(*parts) == name


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("statsd", ("statsd", 8125)),
        ("statsd:9125", ("statsd", 9125)),
        ("10.0.0.1", ("10.0.0.1", 8125)),
        ("::1", ("::1", 8125)),
        ("[::1]:9000", ("::1", 9000)),
        ("statsd:many", ("statsd", 8125)),
    ],
)
def test_address_without_valid_port_uses_default_port(text, address):
    assert address_of(text) == address
