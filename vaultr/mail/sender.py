"""The sender: builds messages with Flask-Mail and passes them to the configured server."""

import contextlib
import smtplib
from collections.abc import Callable
from email.utils import parseaddr
from types import TracebackType
from typing import Any, Final
from uuid import UUID

from flask import Flask
from flask_mail import Connection, Message

from vaultr.app_state import AppSlot
from vaultr.extensions import mail
from vaultr.mail import transports
from vaultr.mail.message import Email
from vaultr.observability import logs
from vaultr.observability.tracing import spans
from vaultr.settings.model import Settings, current_settings

# Flask-Mail's state for an app.
_STATE: Final = AppSlot[Any]("mail.flask_mail")


def init_app(app: Flask, settings: Settings) -> None:
    """Configure Flask-Mail."""
    app.config.update(
        MAIL_SERVER=settings.smtp_host or "",
        MAIL_PORT=settings.smtp_port,
        MAIL_USERNAME=settings.smtp_user,
        MAIL_PASSWORD=settings.smtp_pass.get_secret_value() if settings.smtp_pass else None,
        MAIL_DEFAULT_SENDER=settings.smtp_from,
        MAIL_SUPPRESS_SEND=False,
        MAIL_DEBUG=0,  # 1 would print emails to stderr
    )
    _STATE.set(app, mail.init_app(app))


def message_id(mail_id: UUID) -> str:
    """Return the Message-ID of an email."""
    return f"<{mail_id}@{_domain()}>"


class OutcomeUnknown(OSError):
    """An email was sent, but no response came; it may or may not have been accepted."""


def send(
    email: Email, *, to: str, with_id: str, on_content: Callable[[], None] | None = None
) -> None:
    """Send one email.

    :param on_content: called before the content is sent; from then on the outcome may be unknown.
        If it raises, the attempt ends.
    :raises OutcomeUnknown: the content was sent, and may or may not have been accepted.
    :raises OSError: it was not accepted; includes `smtplib.SMTPException`.
    :raises flask_mail.BadHeaderError: a line break in a header.
    """
    message = Message(
        subject=email.subject,
        recipients=[to],
        body=email.text,
        html=email.html,
        extra_headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no automatic replies
    )
    message.msgId = with_id
    connection = Strict(email.kind, on_content)
    try:
        with spans.span("SMTP", vaultr__mail__kind=email.kind), connection:
            message.send(connection)
    except OSError as error:
        if connection.outcome_unknown(error):
            raise OutcomeUnknown from error
        raise


class Strict(Connection):
    """Flask-Mail's connection, but with a verified server name and time limits."""

    host: transports.Host | transports.MailFolder | None

    def __init__(self, kind: str, on_content: Callable[[], None] | None) -> None:
        super().__init__(_STATE.get())
        self._kind = kind
        self._on_content = on_content

    def outcome_unknown(self, error: OSError) -> bool:
        """Check whether the email may have been accepted in spite of an error."""
        if self.host is None or not self.host.content_sent:
            return False
        rejected = isinstance(error, smtplib.SMTPDataError) and 400 <= error.smtp_code < 600
        return not rejected

    def configure_host(self) -> transports.Host | transports.MailFolder:
        """Connect. Flask-Mail itself would accept any certificate and wait without limit."""
        host = self._connected()
        host.on_content = self._on_content
        return host

    def _connected(self) -> transports.Host | transports.MailFolder:
        settings = current_settings()
        if not settings.smtp_host:
            logs.event("mail.filed", kind=self._kind)
            return transports.MailFolder(settings.vaultr_home / "mail", self._kind)
        host = transports.connect(
            settings.smtp_host,
            settings.smtp_port,
            tls=settings.smtp_secure,
            context=settings.tls_context(only=settings.smtp_ca_file),
            name=_domain(),
        )
        if self.mail.username and self.mail.password:
            try:
                host.login(self.mail.username, self.mail.password)
            except OSError:
                host.close()
                raise
        return host

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Send QUIT if the server still answers; accepted emails stay accepted."""
        if self.host is None:
            return
        # otherwise QUIT would become part of the content
        if exc_type is None or not self.host.content_begun:
            with contextlib.suppress(OSError):
                self.host.quit()
        self.host.close()


def _domain() -> str:
    settings = current_settings()
    return parseaddr(settings.smtp_from)[1].rpartition("@")[2] or "localhost"
