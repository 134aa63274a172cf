"""Check the server: whether it responds, its certificate, its clock, and this device's session."""

import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from vaultr.client.doctor.check_result import CheckResult, State
from vaultr.client.doctor.server_status import check_session
from vaultr.client.errors import ServerUnreachable
from vaultr.client.strict_json import read_object
from vaultr.client.transport.responses import time_of

if TYPE_CHECKING:
    from vaultr.client.sdk.device_session import DeviceSession
    from vaultr.client.transport.http_transport import Probe

# A one-time code is also valid for 30 s before and after its own 30 s.
_CLOCK_WARN_SECONDS: Final = 30
_CLOCK_FAIL_SECONDS: Final = 300
_CERTIFICATE_DAYS: Final = 14
_SHOWN: Final = 200
_OK, _NOT_READY = 200, 503


def check_server(device: "DeviceSession") -> Iterator[CheckResult]:
    """Check the server that this device belongs to, or the one passed in."""
    transport = device.server()
    began = time.monotonic()
    try:
        alive = transport.probe("/api/health")
        milliseconds = int((time.monotonic() - began) * 1000)
        ready = transport.probe("/api/ready")
    except ServerUnreachable as error:
        advice = "Check the URL and your network connection, and whether the server is running."
        yield CheckResult("server", "fail", str(error), error.advice or advice, error.exit_code)
        return
    if alive.status != _OK or not _is_vaultr(alive.body, "status"):
        text = f"{transport.origin} responds (status {alive.status}), but is not a Vaultr server."
        yield CheckResult("server", "fail", text, "Check the URL.", 4)
        return
    yield CheckResult("server", "ok", f"{transport.origin} responds in {milliseconds} ms.")
    if ready.status == _NOT_READY:
        yield CheckResult("server ready", "warn", "The server is not ready.", "Try again later.")
    elif degraded := _degraded(ready.body):
        yield CheckResult("server ready", "warn", f"The server works without {degraded}.")
    yield from _certificate(alive)
    yield from _clock(alive)
    if ready.status != _NOT_READY:
        yield from check_session(device)


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
    text = ", ".join(map(str, names)) if isinstance(names, list) else ""
    return text[:_SHOWN]


def _certificate(alive: "Probe") -> Iterator[CheckResult]:
    if alive.tls is None:
        yield CheckResult("TLS", "ok", "Plain http, on this machine.")
        return
    version, certificate = alive.tls
    ends = certificate.get("notAfter")
    days = None
    if isinstance(ends, str):
        days = int((ssl.cert_time_to_seconds(ends) - time.time()) // 86_400)
    text = f"{version}, the certificate is valid" + (
        "." if days is None else f" for {days} more days."
    )
    if days is not None and days < _CERTIFICATE_DAYS:
        yield CheckResult("TLS", "warn", text, "Ask the server's operator to renew it.")
    else:
        yield CheckResult("TLS", "ok", text)


def _clock(alive: "Probe") -> Iterator[CheckResult]:
    theirs = time_of(alive.date)
    if theirs is None:
        yield CheckResult("clock", "ok", "The server does not send its time.")
        return
    apart = int(abs((datetime.now(UTC) - theirs).total_seconds()))
    text = f"The clocks of this machine and the server differ by {apart} s."
    advice = "Synchronise your clock (NTP): one-time codes and sessions need it."
    if apart <= _CLOCK_WARN_SECONDS:
        yield CheckResult("clock", "ok", text)
    else:
        state: State = "fail" if apart > _CLOCK_FAIL_SECONDS else "warn"
        yield CheckResult("clock", state, text, advice)
