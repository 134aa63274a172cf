"""Check whether emails could be sent: connection, TLS, certificate, login."""

import smtplib
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from vaultr import clock
from vaultr.mail import service as mail
from vaultr.ops.check_result import CheckResult, ok, problem, warning
from vaultr.settings.model import Settings

WARN_DAYS: Final = 14


def check(topic: str, settings: Settings) -> Iterator[CheckResult]:
    """Connect to the mail server as the worker does, and report the result."""
    if settings.smtp_host is None:
        yield ok(topic, f"mails are files in {settings.vaultr_home / 'mail'} (no SMTP_HOST)")
        return
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    began = time.monotonic()
    try:
        host = mail.connect(
            settings.smtp_host, settings.smtp_port, tls=settings.smtp_secure,
            ca_file=settings.smtp_ca_file, name="vaultr.invalid",
        )  # fmt: skip
    except ssl.SSLCertVerificationError as error:
        todo = "Name what signed it by SMTP_CA_FILE, or the host as its certificate does."
        yield problem(
            topic, f"{where} shows a certificate to distrust: {error.verify_message}", todo
        )
        return
    except smtplib.SMTPNotSupportedError:
        todo = "Use a port that offers STARTTLS (587), or SMTP_SECURE=tls (465)."
        yield problem(topic, f"{where} offers no STARTTLS; nothing is sent in clear", todo)
        return
    except OSError as error:
        todo = (
            "Is SMTP_HOST right, is the port open, does SMTP_SECURE fit it? Mails wait meanwhile."
        )
        yield problem(topic, f"{where} cannot be used: {_reason(error)}", todo)
        return
    try:
        yield from _of_connection(topic, settings, host, where=where, began=began)
    finally:
        host.close()


def _of_connection(
    topic: str, settings: Settings, host: mail.Host, *, where: str, began: float
) -> Iterator[CheckResult]:
    try:
        if settings.smtp_user is not None and settings.smtp_pass is not None:
            host.login(settings.smtp_user, settings.smtp_pass.get_secret_value())
        host.noop()
    except smtplib.SMTPAuthenticationError as error:
        todo = "Correct SMTP_USER and SMTP_PASS. An IAM key is no SMTP password: it is derived."
        yield problem(topic, f"{where} refuses the login ({error.smtp_code})", todo)
        return
    except OSError as error:
        yield problem(topic, f"{where} fails: {_reason(error)}", "Ask who runs the mail server.")
        return
    taken = time.monotonic() - began
    yield ok(topic, f"{where} is ready to take mails ({settings.smtp_secure}, {taken:.1f} s)")
    if isinstance(host.sock, ssl.SSLSocket) and (days := _days_left(host.sock)) < WARN_DAYS:
        yield warning(topic, f"its certificate ends in {days:.0f} days", "Tell who runs it.")


def _days_left(sock: ssl.SSLSocket) -> float:
    ends = ssl.cert_time_to_seconds(str((sock.getpeercert() or {}).get("notAfter")))
    return (datetime.fromtimestamp(ends, UTC) - clock.now()).total_seconds() / 86_400


def _reason(error: OSError) -> str:
    """Return an error without the server's text, which may repeat an address."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else error.strerror or type(error).__name__
