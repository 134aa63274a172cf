"""Check the certificate that users see, at the host of BASE_URL."""

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from vaultr import clock

SECONDS: Final = 5.0


class CertificateUnreadable(Exception):
    """No certificate could be read; the message states the reason for an operator."""


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate: when it expires, and the reason why clients distrust it, or None."""

    ends_at: datetime
    distrusted: str | None

    @property
    def days(self) -> float:
        """Return the days until it expires; negative after that."""
        return (self.ends_at - clock.now()).total_seconds() / 86_400


def of_url(url: str, trusting: ssl.SSLContext) -> ServerCertificate | None:
    """Return the certificate of a URL, or None for plain HTTP.

    :param trusting: contains the trusted authorities.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    return of_server(parts.hostname, parts.port or 443, trusting)


def of_server(host: str, port: int, trusting: ssl.SSLContext) -> ServerCertificate:
    """Return the certificate of a server that uses TLS from the first byte.

    :raises CertificateUnreadable: the server does not respond, or not with TLS.
    """
    try:
        return ServerCertificate(_ends_at(_read_certificate(host, port, trusting)), None)
    except ssl.SSLCertVerificationError as error:
        distrusted = error.verify_message
    except OSError as error:
        raise CertificateUnreadable(
            f"{host}:{port}: {error.strerror or type(error).__name__}"
        ) from None
    # Only the certificate is read: nothing is sent to a server that did not prove its name.
    any_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    any_context.check_hostname = False
    any_context.verify_mode = ssl.CERT_NONE
    try:
        return ServerCertificate(_ends_at(_read_certificate(host, port, any_context)), distrusted)
    except OSError as error:
        raise CertificateUnreadable(
            f"{host}:{port}: {error.strerror or type(error).__name__}"
        ) from None


def _read_certificate(host: str, port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection((host, port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def _ends_at(encoded: bytes) -> datetime:
    try:
        return x509.load_der_x509_certificate(encoded).not_valid_after_utc.astimezone(UTC)
    except ValueError:
        raise CertificateUnreadable("the server sent something that is not a certificate") from None
