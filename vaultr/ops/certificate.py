"""How long the certificate that users meet is still good: asked where they ask, at BASE_URL."""

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from vaultr import clock

SECONDS: Final = 5.0


class NotSeen(Exception):
    """No certificate could be had; the message says why, in words for an operator."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A certificate: when it ends, and whether a client would trust it (else why not)."""

    ends_at: datetime
    distrusted: str | None

    @property
    def days(self) -> float:
        """Return the days that are left; below zero when it has ended."""
        return (self.ends_at - clock.now()).total_seconds() / 86_400


def of_url(url: str, *, ca_file: Path | None = None) -> Seen | None:
    """Look at the certificate behind an address; None where it is plain HTTP.

    :param ca_file: what to trust in place of the machine's own list.
    :raises NotSeen: nobody answers there, or not with TLS.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    return of_server(parts.hostname, parts.port or 443, ca_file=ca_file)


def of_server(host: str, port: int, *, ca_file: Path | None = None) -> Seen:
    """Look at the certificate of a server that speaks TLS from the first byte.

    :raises NotSeen: nobody answers there, or not with TLS.
    """
    trusting = ssl.create_default_context(cafile=ca_file)
    try:
        return Seen(_ends_at(_shown(host, port, trusting)), None)
    except ssl.SSLCertVerificationError as error:
        distrusted = error.verify_message
    except OSError as error:
        raise NotSeen(f"{host}:{port}: {error.strerror or type(error).__name__}") from None
    # It is only looked at: nothing is said to a server that did not prove its name.
    any_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    any_context.check_hostname = False
    any_context.verify_mode = ssl.CERT_NONE
    try:
        return Seen(_ends_at(_shown(host, port, any_context)), distrusted)
    except OSError as error:
        raise NotSeen(f"{host}:{port}: {error.strerror or type(error).__name__}") from None


def _shown(host: str, port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((host, port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def _ends_at(encoded: bytes) -> datetime:
    try:
        return x509.load_der_x509_certificate(encoded).not_valid_after_utc.astimezone(UTC)
    except ValueError:
        raise NotSeen("the server showed something that is no certificate") from None
