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
        yield ok(topic, f"emails are files in {settings.vaultr_home / 'mail'} (no SMTP_HOST)")
        return
    where = f"{settings.smtp_host}:{settings.smtp_port}"
    began = time.monotonic()
    try:
        host = mail.connect(
            settings.smtp_host, settings.smtp_port, tls=settings.smtp_secure,
            context=settings.tls_context(only=settings.smtp_ca_file), name="vaultr.invalid",
        )  # fmt: skip
    except ssl.SSLCertVerificationError as error:
        todo = "Set PRIVATE_CA to the authority, or SMTP_HOST to a name in the certificate."
        yield problem(
            topic, f"the certificate of {where} is not trusted: {error.verify_message}", todo
        )
        return
    except smtplib.SMTPNotSupportedError:
        todo = "Use a port that offers STARTTLS (587), or SMTP_SECURE=tls (465)."
        yield problem(topic, f"{where} offers no STARTTLS, and nothing is sent unencrypted", todo)
        return
    except OSError as error:
        todo = "Check SMTP_HOST, SMTP_PORT and SMTP_SECURE. Emails wait until the connection works."
        yield problem(topic, f"cannot connect to {where}: {_reason(error)}", todo)
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
        todo = (
            "Check SMTP_USER and SMTP_PASS. On AWS, the SMTP password is derived from the IAM key."
        )
        yield problem(topic, f"{where} rejects the login ({error.smtp_code})", todo)
        return
    except OSError as error:
        yield problem(
            topic, f"{where} fails: {_reason(error)}", "Ask the operator of the mail server."
        )
        return
    taken = time.monotonic() - began
    yield ok(topic, f"{where} accepts emails ({settings.smtp_secure}, {taken:.1f} s)")
    if isinstance(host.sock, ssl.SSLSocket) and (days := _days_left(host.sock)) < WARN_DAYS:
        yield warning(
            topic,
            f"its certificate expires in {days:.0f} days",
            "Ask the operator of the mail server to renew it.",
        )


def _days_left(sock: ssl.SSLSocket) -> float:
    ends = ssl.cert_time_to_seconds(str((sock.getpeercert() or {}).get("notAfter")))
    return (datetime.fromtimestamp(ends, UTC) - clock.now()).total_seconds() / 86_400


def _reason(error: OSError) -> str:
    """Return an error without the server's text, which may repeat an address."""
    code = getattr(error, "smtp_code", None)
    return f"{type(error).__name__} {code}" if code else error.strerror or type(error).__name__
