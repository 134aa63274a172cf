"""Run the gateway: a WSGI server with TLS, and a thread that keeps the copies up to date."""

import contextlib
import ipaddress
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.gateway.app import Gateway
from vaultr.client.gateway.certificate import Certificate
from vaultr.client.gateway.source import Source

if TYPE_CHECKING:
    from cheroot.wsgi import Server

_THREADS: Final = 8
_IDLE_SECONDS: Final = 10
_HEADER_BYTES: Final = 16 * 1024
_NO_BODY_BYTES: Final = 1024
# How often to check also which vaults the machine may open, and when it expires.
_LIST_EVERY: Final = 20


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the gateway listens, and its certificate; None for plain HTTP.

    :raises UsageError: plain HTTP on an address other than loopback, or only one of certificate and
        key.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("Use --tls-cert and --tls-key together.")
        if self.certificate is None and not is_loopback(self.host):
            raise UsageError(
                "Values would cross the network in plain text. Use --tls-cert and --tls-key, or"
                " listen on 127.0.0.1."
            )

    @classmethod
    def parse(cls, text: str, certificate: Path | None, key: Path | None) -> "Listen":
        """Return the address in ``HOST:PORT``.

        :raises UsageError: it is not an address and a port; or see the class.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) >= 1 << 16:
            raise UsageError("--listen needs HOST:PORT, such as 127.0.0.1:8443.")
        return cls(host.strip("[]"), int(port), certificate, key)


def is_loopback(host: str) -> bool:
    """Check whether only programs on this computer can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(
    source: Source,
    gateway: Gateway,
    listen: Listen,
    *,
    every_seconds: float,
    started: Callable[[], None],
) -> None:
    """Serve until the process gets SIGTERM or SIGINT.

    :param every_seconds: how often to fetch changes from the server.
    :param started: called when this process listens on the address.
    :raises VaultrError: the address cannot be used, or the certificate cannot be read.
    """
    certificate = None
    if listen.certificate is not None and listen.key is not None:
        certificate = Certificate(listen.certificate, listen.key)
    server = _server(gateway, listen, certificate)
    stopped = threading.Event()
    poll = partial(_poll, source, stopped, every_seconds, partial(_renew, server, certificate))
    poller = threading.Thread(target=poll, daemon=True)
    try:
        server.prepare()
    except OSError as error:
        raise VaultrError(f"{listen.host}:{listen.port}: {error.strerror}") from None
    started()
    poller.start()
    with _stopped_by_signals():
        try:
            server.serve()
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            stopped.set()
            server.stop()


def _server(gateway: Gateway, listen: Listen, certificate: Certificate | None) -> "Server":
    try:
        from cheroot.ssl.builtin import BuiltinSSLAdapter  # noqa: PLC0415 - the extra `gateway`
        from cheroot.wsgi import Server  # noqa: PLC0415 - the extra `gateway`
    except ImportError:
        raise VaultrError(
            "The gateway needs the extra `gateway`: pip install 'FILE[gateway]' (FILE: the wheel)."
        ) from None
    server = Server((listen.host, listen.port), gateway, numthreads=_THREADS, timeout=_IDLE_SECONDS)
    server.max_request_header_size = _HEADER_BYTES
    server.max_request_body_size = _NO_BODY_BYTES
    if certificate is not None:
        server.ssl_adapter = BuiltinSSLAdapter(str(listen.certificate), str(listen.key))
        server.ssl_adapter.context = certificate.context
    return server


def _poll(
    source: Source, stopped: threading.Event, every_seconds: float, renew: Callable[[], None]
) -> None:
    number = 0
    while not stopped.wait(every_seconds):
        number += 1
        try:
            renew()
        except VaultrError as error:
            source.notify(f"The earlier certificate stays in use: {error}")
        source.sync(list_again=number % _LIST_EVERY == 0)


def _renew(server: "Server", certificate: Certificate | None) -> None:
    if certificate is not None:
        certificate.renew(partial(setattr, server.ssl_adapter, "context"))


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
