"""One exchange with the server by httpx2, bounded in time and size, whatever comes back.

Only this module and :mod:`vaultr.client.transport.deadline_transport` import httpx2. Importing it
takes longer than opening what a device holds, so they are loaded when a server is first asked.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final

import httpx2

from vaultr.client.errors import AnswerInvalid, CertificateInvalid, ServerUnreachable, UsageError
from vaultr.client.transport.deadline_transport import Deadline, Network
from vaultr.version import __version__

# What Python puts around the words of OpenSSL and of the system.
_AROUND: Final = re.compile(r"^\[[^]]*\] | \(_ssl\.c:\d+\)$")


@dataclass(frozen=True, slots=True)
class Received:
    """What came back, not yet judged.

    :ivar headers: by names in any case.
    :ivar tls: the TLS version and the certificate, as Python gives it; None over plain http.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    tls: tuple[str, Mapping[str, Any]] | None


class Exchanger:
    """Sends requests to one origin, one at a time; follows no redirect, and uses no proxy.

    :param carrier: what carries requests in place of the network.
    :param ca_file: certificates of authorities to trust, in place of the system's.
    :raises UsageError: no certificate can be read from ``ca_file``.
    """

    def __init__(
        self,
        origin: str,
        *,
        carrier: httpx2.BaseTransport | None,
        ca_file: Path | None,
    ) -> None:
        self._origin = origin
        self._deadline = Deadline()
        try:
            carrier = carrier or Network(
                ca_file=ca_file, deadline=self._deadline, only_here=origin.startswith("http:")
            )
        except OSError as error:
            raise UsageError(f"{ca_file}: no certificates can be read from it") from error
        self._client = httpx2.Client(
            base_url=origin,
            transport=carrier,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # the deadline bounds the whole exchange, which no limit of httpx2 does
            headers={
                "Accept": "application/json, application/problem+json",
                "Accept-Encoding": "identity",
                "User-Agent": f"vaultr/{__version__}",
            },
            # It takes none: a client has tokens, and repeats nothing that a server chose.
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
    ) -> Received:
        """Send one request, once, and read the whole answer.

        :raises ServerUnreachable: nothing came, or not all of it within ``seconds``.
        :raises AnswerInvalid: it is compressed, or has over ``answer_bytes`` bytes.
        """
        self._deadline.start(seconds)
        request = self._client.build_request(method, path, content=content, headers=headers)
        try:
            response = self._client.send(request, stream=True)
            try:
                tls = _tls_of(response)
                body = self._read(response, seconds, answer_bytes)
            finally:
                response.close()
        except httpx2.TransportError as error:
            raise _unreachable(self._origin, error) from error
        return Received(response.status_code, response.headers, body, tls)

    def _read(self, response: httpx2.Response, seconds: float, most: int) -> bytes:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise AnswerInvalid("the server compressed its answer, though asked not to")
        ends = time.monotonic() + seconds
        # A transport that was passed in may have read the whole answer already.
        whole = [response.content] if response.is_stream_consumed else response.iter_raw()
        pieces, size = [], 0
        for piece in whole:
            size += len(piece)
            if size > most:
                raise AnswerInvalid(f"the answer is over {most} bytes")
            if time.monotonic() > ends:
                raise _silent(self._origin)
            pieces.append(piece)
        return b"".join(pieces)


def _tls_of(response: httpx2.Response) -> tuple[str, Mapping[str, Any]] | None:
    stream = response.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream else None
    return None if secured is None else (str(secured.version()), secured.getpeercert() or {})


def _silent(origin: str) -> ServerUnreachable:
    return ServerUnreachable(f"{origin}: the server did not respond in time", timed_out=True)


def _unreachable(origin: str, error: httpx2.TransportError) -> ServerUnreachable:
    match error:
        case httpx2.ConnectTimeout():
            return ServerUnreachable(f"{origin}: no connection in time")
        case httpx2.ConnectError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return CertificateInvalid(f"{origin}: {_AROUND.sub('', str(error))}")
        case httpx2.ConnectError():
            return ServerUnreachable(f"{origin}: {_AROUND.sub('', str(error))}")
        case httpx2.TimeoutException():
            return _silent(origin)
    return ServerUnreachable(f"{origin}: the answer was lost ({error})")
