"""Connections that Flask-Mail uses: a mail server with time limits, or a folder."""

import contextlib
import os
import secrets
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vaultr import clock

STEP_SECONDS = 10.0  # for each response of a mail server
CONTENT_SECONDS = 45.0  # for the response to a whole email, which the server may scan
WHOLE_SECONDS = 60.0  # for one connection


class Host(smtplib.SMTP):
    """A connection to a mail server, with time limits for each response and in total."""

    _watch: threading.Timer | None = None
    on_content: Callable[[], None] | None = None
    content_begun = content_sent = False

    def send(self, s: Any) -> None:
        """Send a command (text) or the content of an email (bytes).

        ``on_content`` is called before the content is sent. Until then the server cannot have
        accepted the email; afterwards only the server knows.
        """
        content = isinstance(s, bytes)
        if content and self.on_content is not None:
            self.content_begun = True
            self.on_content()
        super().send(s)
        if content:
            self.content_sent = True
            if self.sock is not None:
                self.sock.settimeout(CONTENT_SECONDS)

    def getreply(self) -> tuple[int, bytes]:
        """Read a response; the first one starts the time limit of the whole connection."""
        if self._watch is None:
            self._watch = threading.Timer(WHOLE_SECONDS, self._cut)
            self._watch.daemon = True
            self._watch.start()
        return super().getreply()

    def close(self) -> None:
        """Close the connection, and stop the timer."""
        if self._watch is not None:
            self._watch.cancel()
        super().close()

    def _cut(self) -> None:
        if self.sock is not None:
            with contextlib.suppress(OSError):
                # Not the method of an SSL socket, which would continue without encryption.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class TlsHost(Host, smtplib.SMTP_SSL):
    """`Host` with TLS from the first byte."""


def connect(server: str, port: int, *, tls: str, context: ssl.SSLContext, name: str) -> Host:
    """Connect to a mail server, and verify its name.

    :param tls: ``tls`` from the first byte, ``starttls`` (required), or ``none``.
    :param context: contains the trusted authorities.
    :param name: our own host name; without it, smtplib asks the DNS without a time limit.
    :raises OSError: no server, the wrong one, or too slow; includes SMTPException.
    """
    if tls == "tls":
        return TlsHost(server, port, name, timeout=STEP_SECONDS, context=context)
    host = Host(server, port, name, timeout=STEP_SECONDS)
    try:
        if tls == "starttls":
            host.starttls(context=context)
    except OSError:
        host.close()
        raise
    return host


class MailFolder(smtplib.SMTP):
    """A folder of ``.eml`` files, for development without a mail server."""

    on_content: Callable[[], None] | None = None
    content_begun = content_sent = False

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(local_hostname="localhost")  # does not connect
        self._path = path
        self._kind = kind

    def sendmail(
        self,
        from_addr: str,
        to_addrs: str | Sequence[str],
        msg: object,
        mail_options: Sequence[str] = (),
        rcpt_options: Sequence[str] = (),
    ) -> dict[str, tuple[int, bytes]]:
        """Write the message under a temporary name, and rename the complete file."""
        if not isinstance(msg, bytes):
            raise TypeError("a message is bytes")
        if self.on_content is not None:
            self.on_content()
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{clock.now():%Y%m%dT%H%M%S.%fZ}-{self._kind}"
        draft = self._path / f".{name}.{secrets.token_hex(4)}"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msg.replace(b"\r\n", b"\n"))
        try:
            os.link(draft, self._path / f"{name}.eml")  # never overwrites a file
        finally:
            draft.unlink()
        return {}

    def quit(self) -> tuple[int, bytes]:
        """Do nothing; no server is connected."""
        return 221, b""
