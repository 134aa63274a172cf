"""One HTTP exchange with the server by httpx2, limited in time and size.

Only this module and :mod:`vaultr.client.transport.deadline_transport` import httpx2. It is slow to
import, so they are loaded with the first request.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final

import httpx2

from vaultr.client.errors import AnswerInvalid, CertificateInvalid, ServerUnreachable, UsageError
from vaultr.client.transport.deadline_transport import Deadline, Network
from vaultr.version import __version__

# Python adds these around the messages of OpenSSL and of the system.
_AROUND: Final = re.compile(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$")


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response that is not checked yet.

    :ivar headers: a mapping that ignores the case of names.
    :ivar tls: the TLS version and the certificate as Python returns it; None over plain http.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    tls: tuple[str, Mapping[str, Any]] | None


class HttpxAdapter:
    """Sends requests to one origin, one at a time, without redirects and proxies.

    :param transport: replaces the network.
    :param ca_file: certificate authorities to trust instead of the system's.
    :raises UsageError: no certificate can be read from ``ca_file``.
    """

    def __init__(
        self,
        origin: str,
        *,
        transport: httpx2.BaseTransport | None,
        ca_file: Path | None,
    ) -> None:
        self._origin = origin
        self._deadline = Deadline()
        try:
            transport = transport or Network(
                ca_file=ca_file, deadline=self._deadline, loopback_only=origin.startswith("http:")
            )
        except OSError as error:
            raise UsageError(
                f"No certificates can be read from {ca_file}. Name another file: --ca-file"
            ) from error
        self._client = httpx2.Client(
            base_url=origin,
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # the deadline limits the whole exchange, which no timeout of httpx2 does
            headers={
                "Accept": "application/json, application/problem+json",
                "Accept-Encoding": "identity",
                "User-Agent": f"vaultr/{__version__}",
            },
            # No cookies: the client has tokens, and sends nothing back that a server chose.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float,
        answer_bytes: int,
    ) -> HttpResponse:
        """Send one request, without retries, and read the whole response.

        :raises ServerUnreachable: no response, or not all of it within ``seconds``.
        :raises AnswerInvalid: the response is compressed or has over ``answer_bytes`` bytes.
        """
        request = self._client.build_request(method, path, content=content, headers=headers)
        with self._exchange(request, seconds) as response:
            tls = _tls_of(response)
            body = self._read(response, seconds, answer_bytes)
        return HttpResponse(response.status_code, response.headers, body, tls)

    def download(
        self,
        path: str,
        headers: Mapping[str, str],
        sink: Callable[[bytes], object],
        *,
        pause_seconds: float,
        line_bytes: int,
    ) -> HttpResponse:
        """Send a GET request, and stream a response of status 200.

        :param sink: called with each chunk; the returned response then has no content.
        :param pause_seconds: the longest time between two chunks; the total time is not limited.
        :param line_bytes: the longest line; the number of lines is not limited.
        :raises ServerUnreachable: no response, or a longer pause.
        :raises AnswerInvalid: the response is compressed, or has a longer line.
        """
        request = self._client.build_request("GET", path, headers=headers)
        with self._exchange(request, pause_seconds) as response:
            body = b""
            if response.status_code == httpx2.codes.OK:
                self._pass_on(response, sink, pause_seconds, line_bytes)
            else:
                body = self._read(response, pause_seconds, line_bytes)
        return HttpResponse(response.status_code, response.headers, body, None)

    @contextlib.contextmanager
    def _exchange(self, request: httpx2.Request, seconds: float) -> Iterator[httpx2.Response]:
        """Send a request, and close its response at the end.

        :raises ServerUnreachable: no response within ``seconds``, or it was lost while it was read.
        """
        self._deadline.start(seconds)
        try:
            response = self._client.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()
        except httpx2.TransportError as error:
            raise _unreachable(self._origin, error) from error

    def _pass_on(
        self,
        response: httpx2.Response,
        sink: Callable[[bytes], object],
        pause_seconds: float,
        line_bytes: int,
    ) -> None:
        _check_encoding(response)
        whole = [response.content] if response.is_stream_consumed else response.iter_raw()
        line = 0
        for piece in whole:
            first, newline, rest = piece.partition(b"\n")
            longest = max(line + len(first), max(map(len, rest.split(b"\n"))))
            if longest > line_bytes:
                raise AnswerInvalid(f"it has a line of over {line_bytes} bytes")
            line = len(piece) - piece.rfind(b"\n") - 1 if newline else line + len(piece)
            sink(piece)
            self._deadline.start(pause_seconds)

    def _read(self, response: httpx2.Response, seconds: float, most: int) -> bytes:
        _check_encoding(response)
        ends = time.monotonic() + seconds
        # A transport that was passed in may have read the whole response already.
        whole = [response.content] if response.is_stream_consumed else response.iter_raw()
        pieces, size = [], 0
        for piece in whole:
            size += len(piece)
            if size > most:
                raise AnswerInvalid(f"it has over {most} bytes")
            if time.monotonic() > ends:
                raise _silent(self._origin)
            pieces.append(piece)
        return b"".join(pieces)


def _check_encoding(response: httpx2.Response) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise AnswerInvalid("it is compressed, which was not requested")


def _tls_of(response: httpx2.Response) -> tuple[str, Mapping[str, Any]] | None:
    stream = response.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream else None
    return None if secured is None else (str(secured.version()), secured.getpeercert() or {})


def _silent(origin: str) -> ServerUnreachable:
    return ServerUnreachable(f"{origin}: the server did not respond in time", timed_out=True)


def _unreachable(origin: str, error: httpx2.TransportError) -> ServerUnreachable:
    match error:
        case httpx2.ConnectTimeout():
            return ServerUnreachable(f"{origin}: the connection took too long")
        case httpx2.ConnectError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return CertificateInvalid(f"{origin}: {_AROUND.sub('', str(error))}")
        case httpx2.ConnectError():
            return ServerUnreachable(f"{origin}: {_AROUND.sub('', str(error))}")
        case httpx2.TimeoutException():
            return _silent(origin)
    return ServerUnreachable(f"{origin}: the response was lost ({error})")
