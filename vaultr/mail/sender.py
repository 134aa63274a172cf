"""The one sender: Flask-Mail builds each message and hands it to the host of the settings."""

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
from vaultr.mail.message import Letter
from vaultr.observability import logs
from vaultr.observability.tracing import spans
from vaultr.settings.model import Settings, current_settings

# Flask-Mail's state of an app.
_STATE: Final = AppSlot[Any]("mail.flask_mail")


def init_app(app: Flask, settings: Settings) -> None:
    """Tell Flask-Mail where mails go."""
    app.config.update(
        MAIL_SERVER=settings.smtp_host or "",
        MAIL_PORT=settings.smtp_port,
        MAIL_USERNAME=settings.smtp_user,
        MAIL_PASSWORD=settings.smtp_pass.get_secret_value() if settings.smtp_pass else None,
        MAIL_DEFAULT_SENDER=settings.smtp_from,
        MAIL_SUPPRESS_SEND=False,
        MAIL_DEBUG=0,  # 1 would print letters to stderr
    )
    _STATE.set(app, mail.init_app(app))


def message_id(mail_id: UUID) -> str:
    """Give the Message-ID of a mail."""
    return f"<{mail_id}@{_domain()}>"


class OutcomeUnknown(OSError):
    """A mail went out whole, and no answer to it came: only its server knows whether it has it."""


def send(
    letter: Letter, *, to: str, with_id: str, on_content: Callable[[], None] | None = None
) -> None:
    """Send one letter.

    :param on_content: called before the content goes out, after which the outcome may stay unknown;
        what it raises ends the sending.
    :raises OutcomeUnknown: it went out, and may or may not have been accepted.
    :raises OSError: it was not accepted; `smtplib.SMTPException` is one and says why.
    :raises flask_mail.BadHeaderError: a line break in a header.
    """
    message = Message(
        subject=letter.subject,
        recipients=[to],
        body=letter.text,
        html=letter.html,
        extra_headers={"Auto-Submitted": "auto-generated"},  # RFC 3834: no robot answers
    )
    message.msgId = with_id
    connection = Strict(letter.kind, on_content)
    try:
        with spans.span("SMTP", vaultr__mail__kind=letter.kind), connection:
            message.send(connection)
    except OSError as error:
        if connection.outcome_unknown(error):
            raise OutcomeUnknown from error
        raise


class Strict(Connection):
    """Flask-Mail's connection, but to a server that has proven its name, and that cannot hang."""

    host: transports.Host | transports.Folder | None

    def __init__(self, kind: str, on_content: Callable[[], None] | None) -> None:
        super().__init__(_STATE.get())
        self._kind = kind
        self._on_content = on_content

    def outcome_unknown(self, error: OSError) -> bool:
        """Tell whether an error leaves open if the mail was accepted."""
        if self.host is None or not self.host.content_sent:
            return False
        refused = isinstance(error, smtplib.SMTPDataError) and 400 <= error.smtp_code < 600
        return not refused

    def configure_host(self) -> transports.Host | transports.Folder:
        """Connect; Flask-Mail's own way takes any certificate and waits for ever."""
        host = self._connected()
        host.on_content = self._on_content
        return host

    def _connected(self) -> transports.Host | transports.Folder:
        settings = current_settings()
        if not settings.smtp_host:
            logs.event("mail.filed", kind=self._kind)
            return transports.Folder(settings.vaultr_home / "mail", self._kind)
        host = transports.connect(
            settings.smtp_host,
            settings.smtp_port,
            tls=settings.smtp_secure,
            ca_file=settings.smtp_ca_file,
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
        """Say good-bye, if anybody listens: what was accepted stays accepted."""
        if self.host is None:
            return
        if exc_type is None or not self.host.content_begun:  # else it would be taken for content
            with contextlib.suppress(OSError):
                self.host.quit()
        self.host.close()


def _domain() -> str:
    settings = current_settings()
    return parseaddr(settings.smtp_from)[1].rpartition("@")[2] or "localhost"
