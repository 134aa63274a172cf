"""The sources of ranges: a service over HTTPS, or a sorted file.

The file has one `HASH:COUNT` per line, SHA-1 in hexadecimal, sorted by hash, like the download of
Have I Been Pwned. A binary search finds the range, and only its lines are read.
"""

import http.client
import re
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO, Final, Protocol
from urllib.parse import unquote, urlsplit

SECONDS: Final = 2.0
RANGE_BYTES: Final = 1024 * 1024
_CONNECTIONS: Final = 4
_LINE_BYTES: Final = 128
PREFIX_DIGITS: Final = 5

_LINE: Final = re.compile(r"([0-9A-Fa-f]{35}):([0-9]{1,10})")
_HASHED: Final = re.compile(rb"([0-9A-Fa-f]{40}):([0-9]{1,10})\r?\n?")


class UpstreamFailed(Exception):
    """The upstream did not return a valid range in time."""


class Upstream(Protocol):
    """A source of ranges: lines `SUFFIX:COUNT` in upper case."""

    def range_of(self, prefix: str) -> list[str]:
        """Return the lines of a range.

        :raises UpstreamFailed: they cannot be read.
        """


def upstream_of(url: str, trusting: ssl.SSLContext) -> Upstream:
    """Return the upstream that BREACH_UPSTREAM_URL names, verified by ``trusting``."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return SortedFile(Path(unquote(parts.path)))
    return Service(parts.hostname or "", parts.port or 443, parts.path.rstrip("/"), trusting)


class Service:
    """A service over HTTPS: verifies its certificate, and follows no redirects.

    A request, including the DNS look-up, takes at most 2 s: it runs in one of a few threads, and
    the caller stops waiting after that time.
    """

    def __init__(self, host: str, port: int, path: str, trusting: ssl.SSLContext) -> None:
        self._host, self._port, self._path = host, port, path
        self._context = trusting
        self._threads = ThreadPoolExecutor(_CONNECTIONS, "vaultr-breach")
        self._free = threading.BoundedSemaphore(_CONNECTIONS)

    def range_of(self, prefix: str) -> list[str]:
        """Return the lines of a range.

        :raises UpstreamFailed: no valid range arrived in time, or all threads are busy.
        """
        if not self._free.acquire(blocking=False):
            raise UpstreamFailed("all connections are in use")
        future = self._threads.submit(self._request, prefix)
        future.add_done_callback(lambda _: self._free.release())
        try:
            data = future.result(SECONDS)
        except (OSError, http.client.HTTPException, TimeoutError, ValueError) as error:
            raise UpstreamFailed(type(error).__name__) from None
        return _lines_of(data)

    def _request(self, prefix: str) -> bytes:
        end = time.monotonic() + SECONDS
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=SECONDS, context=self._context
        )
        headers = {"User-Agent": "vaultr", "Accept": "text/plain", "Add-Padding": "true"}
        with closing(connection):
            connection.request("GET", f"{self._path}/{prefix}", headers=headers)
            with closing(connection.getresponse()) as response:
                if response.status != 200:
                    raise UpstreamFailed(f"status {response.status}")
                data = bytearray()
                while part := response.read1(65_536):
                    data += part
                    if len(data) > RANGE_BYTES or time.monotonic() > end:
                        raise UpstreamFailed("too large or too slow")
                return bytes(data)


def _lines_of(data: bytes) -> list[str]:
    """Return the lines of a response, without the padding of the upstream.

    :raises UpstreamFailed: a line is not a line of a range.
    """
    try:
        lines = data.decode("ascii").upper().split()
    except UnicodeDecodeError:
        raise UpstreamFailed("not a range") from None
    found = [_LINE.fullmatch(line) for line in lines]
    if None in found:
        raise UpstreamFailed("not a range")
    return [one[0] for one in found if one is not None and int(one[2]) > 0]


class SortedFile:
    """A file on this machine, possibly many gigabytes long."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def range_of(self, prefix: str) -> list[str]:
        """Return the lines of a range.

        :raises UpstreamFailed: the file cannot be read, or is not a list of hashes.
        """
        wanted = prefix.upper().encode()
        try:
            with self._path.open("rb", buffering=4096) as file:
                return list(self._range(file, wanted))
        except OSError as error:
            raise UpstreamFailed(type(error).__name__) from None

    def _range(self, file: IO[bytes], wanted: bytes) -> Iterator[str]:
        _seek_near(file, wanted)
        size = 0
        while line := file.readline(_LINE_BYTES):
            hashed, count = _parsed(line)
            if hashed < wanted:
                continue
            if not hashed.startswith(wanted):
                return
            size += len(line)
            if size > RANGE_BYTES:
                raise UpstreamFailed("the range is too large")
            yield f"{hashed[PREFIX_DIGITS:].decode()}:{int(count)}"


def _seek_near(file: IO[bytes], wanted: bytes) -> None:
    """Seek to the first line whose hash is not before ``wanted``, or to the line before it."""
    low, high = 0, file.seek(0, 2)
    while low < high:
        middle = (low + high) // 2
        file.seek(middle)
        if middle > low:
            file.readline(_LINE_BYTES)  # skip the rest of the line at this offset
        start = file.tell()
        line = file.readline(_LINE_BYTES) if start <= high else b""
        if line and _parsed(line)[0] < wanted:
            low = start + len(line)
        else:
            high = middle
    file.seek(low)


def _parsed(line: bytes) -> tuple[bytes, bytes]:
    found = _HASHED.fullmatch(line)
    if found is None:
        raise UpstreamFailed("not a list of hashes")
    return found[1].upper(), found[2]
