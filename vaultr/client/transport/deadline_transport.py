"""HTTP connections with one time limit for the whole exchange.

A timeout of httpx2 applies to each read, so a server that sends a byte now and then could keep the
client waiting forever. Here all reads and writes share one limit.
"""

import ssl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import httpcore2
import httpx2

from vaultr.client.transport.origin import is_loopback

CONNECT_SECONDS: Final = 10.0
# Closed before a server with gunicorn's default (2 s) closes the idle connection.
KEEPALIVE_SECONDS: Final = 1.5
_PIECE_BYTES: Final = 64 * 1024


class Deadline:
    """The time by which the current exchange must end."""

    def __init__(self) -> None:
        self._ends = float("inf")

    def start(self, seconds: float) -> None:
        """Limit the next exchange to ``seconds``."""
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left.

        :raises httpcore2.ReadTimeout: no time is left.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the response took too long")
        return left


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE_BYTES):
            piece = buffer[start : start + _PIECE_BYTES]
            self._stream.write(piece, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        seconds = min(CONNECT_SECONDS, self._deadline.left())
        secured = self._stream.start_tls(ssl_context, server_hostname, seconds)
        return _Stream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore2.NetworkBackend):
    def __init__(self, deadline: Deadline, *, loopback_only: bool) -> None:
        self._tcp = httpcore2.SyncBackend()
        self._deadline = deadline
        self._loopback_only = loopback_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        seconds = min(CONNECT_SECONDS, self._deadline.left())
        stream = self._tcp.connect_tcp(host, port, seconds, local_address, socket_options)
        # Checking the name is not enough: it may resolve to another machine.
        if self._loopback_only and not is_loopback(str(stream.get_extra_info("server_addr")[0])):
            stream.close()
            raise httpcore2.ConnectError(
                f"{host} is not this machine, and plain http is allowed for it only"
            )
        return _Stream(stream, self._deadline)


class _Body(httpx2.SyncByteStream):
    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except httpcore2.TimeoutException as error:
            raise httpx2.ReadTimeout(str(error)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise httpx2.ReadError(str(error)) from error

    def close(self) -> None:
        self._pieces.close()


class Network(httpx2.BaseTransport):
    """HTTP/1.1 over TCP and TLS, for one client; it ignores proxies set in the environment.

    :param loopback_only: reject other machines, as plain http requires.
    """

    def __init__(self, *, ca_file: Path | None, deadline: Deadline, loopback_only: bool) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=_tls(ca_file, plain=loopback_only),
            max_connections=1,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=_Backend(deadline, loopback_only=loopback_only),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send ``request``."""
        url = request.url
        sent = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
        )
        try:
            answer = self._pool.handle_request(sent)
        except httpcore2.ConnectTimeout as error:
            raise httpx2.ConnectTimeout(str(error), request=request) from error
        except httpcore2.TimeoutException as error:
            raise httpx2.ReadTimeout(str(error), request=request) from error
        except httpcore2.ConnectError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise httpx2.ReadError(str(error), request=request) from error
        stream = answer.extensions.get("network_stream")
        return httpx2.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            request=request,
            extensions={} if stream is None else {"network_stream": stream},
        )

    def close(self) -> None:
        """Close the idle connection."""
        self._pool.close()


def _tls(ca_file: Path | None, *, plain: bool) -> ssl.SSLContext:
    """Trust the system's authorities, or only those of ``ca_file``; checks cannot be turned off.

    :param plain: the server speaks plain http. Then trust nobody: reading the system's authorities
        takes longer than most requests.
    :raises OSError: ``ca_file`` cannot be read or has no certificate.
    """
    if ca_file is None and plain:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        return httpx2.create_ssl_context(trust_env=False)
    return ssl.create_default_context(cafile=str(ca_file))
