"""Looks at the way to the server: whether it answers, its certificate, and its clock."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vaultr.client.doctor.check_result import Finding, State
from vaultr.client.doctor.server_status import standing_findings
from vaultr.client.errors import ServerUnreachable
from vaultr.client.strict_json import read_object
from vaultr.client.transport.responses import time_of

if TYPE_CHECKING:
    from vaultr.client.sdk.device_session import DeviceSession
    from vaultr.client.transport.http_transport import Probe

# One-time codes hold for 30 s and a neighbour counts, too; beyond this they are refused.
_CLOCK_WARN_SECONDS: Final = 30
_CLOCK_FAIL_SECONDS: Final = 300
_CERTIFICATE_DAYS: Final = 14
_SHOWN: Final = 200
_OK, _NOT_READY = 200, 503


def server_findings(device: "DeviceSession") -> Iterator[Finding]:
    """Look at the server that this device belongs to, or that was named."""
    transport = device.server()
    began = time.monotonic()
    try:
        alive = transport.probe("/api/health")
        milliseconds = int((time.monotonic() - began) * 1000)
        ready = transport.probe("/api/ready")
    except ServerUnreachable as error:
        advice = "Look whether the address is right, the network is there and the server runs."
        yield Finding("server", "fail", str(error), error.advice or advice, error.exit_code)
        return
    if alive.status != _OK or not _is_vaultr(alive.body, "status"):
        said = f"{transport.origin} answers (status {alive.status}), but not as Vaultr does."
        yield Finding("server", "fail", said, "Look whether the address is right.", 4)
        return
    yield Finding("server", "ok", f"{transport.origin} answers in {milliseconds} ms.")
    if ready.status == _NOT_READY:
        yield Finding("server ready", "warn", "It says that it is not ready.", "Try again later.")
    elif degraded := _degraded(ready.body):
        yield Finding("server ready", "warn", f"It says that it goes on without {degraded}.")
    yield from _certificate(alive)
    yield from _clock(alive)
    if ready.status != _NOT_READY:
        yield from standing_findings(device)


def _is_vaultr(body: bytes, name: str) -> bool:
    try:
        return name in read_object(body)
    except ValueError:
        return False


def _degraded(body: bytes) -> str:
    try:
        names = read_object(body)["degraded"]
    except (ValueError, KeyError):
        return ""
    said = ", ".join(map(str, names)) if isinstance(names, list) else ""
    return said[:_SHOWN]


def _certificate(alive: "Probe") -> Iterator[Finding]:
    if alive.tls is None:
        yield Finding("TLS", "ok", "Plain http, to this machine itself.")
        return
    version, certificate = alive.tls
    ends = certificate.get("notAfter")
    days = None
    if isinstance(ends, str):
        days = int((ssl.cert_time_to_seconds(ends) - time.time()) // 86_400)
    said = f"{version}, the certificate holds" + ("." if days is None else f" for {days} days.")
    if days is not None and days < _CERTIFICATE_DAYS:
        yield Finding("TLS", "warn", said, "Whoever runs the server has to renew it.")
    else:
        yield Finding("TLS", "ok", said)


def _clock(alive: "Probe") -> Iterator[Finding]:
    theirs = time_of(alive.date)
    if theirs is None:
        yield Finding("clock", "ok", "The server does not tell the time.")
        return
    apart = int(abs((datetime.now(UTC) - theirs).total_seconds()))
    said = f"This clock and the server's are {apart} s apart."
    advice = "Have the clock set by the network: codes and sessions need it."
    if apart <= _CLOCK_WARN_SECONDS:
        yield Finding("clock", "ok", said)
    else:
        state: State = "fail" if apart > _CLOCK_FAIL_SECONDS else "warn"
        yield Finding("clock", state, said, advice)
