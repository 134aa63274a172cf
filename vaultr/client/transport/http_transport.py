"""Send requests to the server, retry where that is safe, and check every response.

It follows no redirects and uses no proxy from the environment. Certificate checks cannot be turned
off.
"""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vaultr.client.errors import (
    AnswerInvalid,
    CertificateInvalid,
    NotVaultr,
    Refused,
    ServerUnreachable,
    VaultrError,
    error_from_problem,
)
from vaultr.client.strict_json import Json, read_object
from vaultr.client.transport import error_text
from vaultr.client.transport.origin import origin_of
from vaultr.client.transport.retry import RetryPolicy
from vaultr.protocol.problems import PREFIX, SLUGS, statuses_of
from vaultr.protocol.sizes import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    ANSWER_VALUES,
    SHORT_ANSWER_BYTES,
)

if TYPE_CHECKING:
    import httpx2

    from vaultr.client.transport.httpx_adapter import HttpResponse, HttpxAdapter

BASE: Final = "/api/v1"
MOST_CHECKPOINTS: Final = 8
MOST_HEADER: Final = 128
_LINES: Final = "application/jsonl"
_PLAIN: Final = "text/plain"
_PLAIN_TEXT: Final = "/breach/"  # what is below it is plain text, and may be empty
RETRIES: Final = RetryPolicy(tries=4, first_pause_seconds=0.25, longest_pause_seconds=10.0)
# Total time for all attempts to get a lost response.
_LOST_SECONDS: Final = 90.0
_WAITING_SECONDS: Final = 2.0
_SLUG = re.compile(r"[a-z0-9-]{1,64}")
_ETAG = re.compile(r'"[\x21\x23-\x7e]{0,128}"')
# Pages of a sync or a list, one version, and what a recovery returns.
_LONG: Final = re.compile(
    r".*\?.*|/vaults/[^/]+/items/[^/]+/versions/[0-9]+|/auth/recover/start|/audit/export"
)
# Each of these characters begins a JSON value or precedes one; base64url, ids and times contain
# none of them.
_BEFORE_VALUES: Final = (b"{", b"[", b",", b":")
# The longest pause in a streamed response.
_PAUSE_SECONDS: Final = 60.0
_OK: Final = 200
_PROBE_SECONDS: Final = 15.0
# Read up to this much so that the connection can be reused; for more, a new one is cheaper.
_IGNORED_BYTES: Final = 64 * 1024
_RETRIED_SLUGS = frozenset({"rate-limited", "busy", "audit-unavailable", "unavailable"})
_TOO_MANY: Final = 429
_GATEWAY = frozenset({_TOO_MANY, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that is not an error.

    :ivar size: the length of the body in bytes.
    :ivar text: a body of JSON lines or plain text, not parsed.
    """

    status: int
    body: Json | None = field(repr=False)
    etag: str | None
    size: int = 0
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Probe:
    """The response to a probe of the server; no account is needed.

    :ivar date: the ``Date`` header; None if it is missing.
    :ivar tls: the TLS version and the certificate as Python returns it; None over plain http.
    """

    status: int
    date: str | None
    tls: tuple[str, Mapping[str, Any]] | None
    body: bytes = b""


class Transport:
    """The connection to one server, for one thread; opened by the first request.

    :ivar date: the ``Date`` header of the last response.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: "httpx2.BaseTransport | None" = None,
        ca_file: Path | None = None,
        retries: RetryPolicy | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        answer_bytes: int = ANSWER_BYTES,
        offline: bool = False,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self.origin = origin_of(url)
        self.date: str | None = None
        self.checkpoints: dict[str, None] = {}  # as headers showed them, in their order
        self._http_transport = transport
        self._ca_file = ca_file
        self._retries = retries or RETRIES
        self._answer_seconds = answer_seconds
        self._answer_bytes = answer_bytes
        self._offline = offline
        self._waiting = waiting
        self._ends = float("inf")
        self._adapter: HttpxAdapter | None = None
        if ca_file is not None:
            self._open()  # reject a file without certificates before anything is sent

    def close(self) -> None:
        """Close the connection if there is one."""
        if self._adapter is not None:
            self._adapter.close()

    def hurry(self, seconds: float) -> None:
        """Limit all requests from now on to ``seconds`` in total."""
        self._ends = time.monotonic() + seconds

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
        longest_wait_seconds: float | None = None,
    ) -> Answer:
        """Send one request under ``/api/v1``; repeat it unchanged where that is safe.

        :param again: whether the request may be repeated if its response was lost; a GET always
            may.
        :param longest_wait_seconds: the longest ``Retry-After`` to wait for.
        :raises Refused: the server rejected the request; the class says why.
        :raises ServerUnreachable: no response; it is unknown whether the request was processed.
        :raises AnswerInvalid: the response is not one that a Vaultr server sends.
        """
        if self._offline:
            raise ServerUnreachable("Nothing is sent to the server with --offline.", not_done=True)
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        with self._noticed():
            return self._send(
                method,
                path,
                data,
                headers or {},
                lost_is_safe=again or method == "GET",
                longest_wait_seconds=longest_wait_seconds,
            )

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None,
        headers: Mapping[str, str],
        *,
        lost_is_safe: bool,
        longest_wait_seconds: float | None,
    ) -> Answer:
        until = self._ends
        longest = longest_wait_seconds or self._retries.longest_pause_seconds
        for attempt in self._retries.attempts():
            began = time.monotonic()
            try:
                return self._send_once(method, path, data, headers, until)
            except (Refused, ServerUnreachable) as error:
                wait = _seconds_to_wait(error, lost_is_safe=lost_is_safe)
                if attempt.is_last or wait is None or max(wait, attempt.pause_seconds) > longest:
                    raise
                if isinstance(error, ServerUnreachable):
                    until = min(until, began + _LOST_SECONDS)
                if time.monotonic() + max(wait, attempt.pause_seconds) >= until:
                    raise
            attempt.wait(at_least=wait)
        raise AssertionError  # the last attempt raises

    @contextlib.contextmanager
    def _noticed(self) -> Iterator[None]:
        """Report which server the client waits for, if that takes long."""
        if self._waiting is None:
            yield
            return
        timer = threading.Timer(_WAITING_SECONDS, self._waiting, [self.origin])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def probe(self, path: str) -> Probe:
        """Return any response to a probe such as ``/api/ready``, without retries.

        :raises ServerUnreachable: no response.
        """
        seconds = min(_PROBE_SECONDS, self._answer_seconds)
        most = min(self._answer_bytes, SHORT_ANSWER_BYTES)
        response = self._open().send("GET", path, seconds=seconds, answer_bytes=most)
        date = response.headers.get("Date")
        return Probe(response.status, date, response.tls, response.content)

    def download(
        self, path: str, sink: Callable[[bytes], object], *, headers: Mapping[str, str]
    ) -> None:
        """Send one GET request under ``/api/v1``, without retries, and stream its long response.

        :raises Refused: the server rejected the request; nothing was passed on.
        :raises ServerUnreachable: no response, or a pause of a minute; the streamed data is
            incomplete.
        """
        if self._offline:
            raise ServerUnreachable("Nothing is sent to the server with --offline.", not_done=True)
        with self._noticed():
            response = self._open().download(
                BASE + path,
                headers,
                sink,
                pause_seconds=min(_PAUSE_SECONDS, self._answer_seconds),
                line_bytes=min(self._answer_bytes, SHORT_ANSWER_BYTES),
            )
        if response.status != _OK:
            _checked(response, self.origin, plain=False)
            raise AnswerInvalid(f"it has status {response.status}")

    def send_ignoring_response(
        self, method: str, path: str, *, headers: Mapping[str, str], seconds: float
    ) -> None:
        """Send one request under ``/api/v1``, without retries; ignore the response and every error.

        :param seconds: how long to wait for the response.
        """
        most = min(self._answer_bytes, _IGNORED_BYTES)
        with contextlib.suppress(VaultrError):
            self._open().send(
                method, BASE + path, None, headers, seconds=seconds, answer_bytes=most
            )

    def _send_once(
        self,
        method: str,
        path: str,
        data: bytes | None,
        headers: Mapping[str, str],
        until: float,
    ) -> Answer:
        sent = dict(headers) | ({} if data is None else {"Content-Type": "application/json"})
        longest = ANSWER_BYTES if _LONG.fullmatch(path) else SHORT_ANSWER_BYTES
        response = self._open().send(
            method,
            BASE + path,
            data,
            sent,
            seconds=max(0.0, min(self._answer_seconds, until - time.monotonic())),
            answer_bytes=min(self._answer_bytes, longest),
        )
        self.date = response.headers.get("Date")
        self._note_checkpoint(response.headers.get("X-Vaultr-Checkpoint"))
        return _checked(response, self.origin, plain=path.startswith(_PLAIN_TEXT))

    def _note_checkpoint(self, shown: str | None) -> None:
        """Store the last few checkpoints from headers, for the verification of the log."""
        if shown is not None:
            self.checkpoints[shown[:MOST_HEADER]] = None
            while len(self.checkpoints) > MOST_CHECKPOINTS:
                del self.checkpoints[next(iter(self.checkpoints))]

    def _open(self) -> "HttpxAdapter":
        if self._adapter is None:
            # httpx2 is slow to import, and commands that send nothing do not need it.
            from vaultr.client.transport.httpx_adapter import HttpxAdapter  # noqa: PLC0415 - late, see above

            self._adapter = HttpxAdapter(
                self.origin, transport=self._http_transport, ca_file=self._ca_file
            )
        return self._adapter


def _checked(response: "HttpResponse", origin: str, *, plain: bool) -> Answer:
    status, content = response.status, response.content
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if 300 <= status < 400 and status != 304:
        raise _not_vaultr(origin, "a redirect")
    if status >= 400:
        raise _error(response, content_type, origin)
    etag = response.headers.get("ETag")
    if etag is not None and not _ETAG.fullmatch(etag):
        raise AnswerInvalid("its ETag is invalid")
    if status in (204, 304):
        return Answer(status, None, etag)
    if status not in (200, 201, 202):
        raise AnswerInvalid(f"it has status {status}")
    if not content and status == 202:
        return Answer(status, None, etag)
    if content_type == _LINES or (plain and content_type == _PLAIN):
        return Answer(status, None, etag, len(content), _text(content))
    if content_type != "application/json":
        raise _not_vaultr(origin, "a response that is not JSON")
    return Answer(status, _object(content), etag, len(content))


def _not_vaultr(origin: str, sent: str) -> NotVaultr:
    return NotVaultr(f"The site {origin} is not a Vaultr server: it sent {sent}.")


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise AnswerInvalid("it is not UTF-8") from None


def _object(content: bytes) -> Json:
    # An empty object takes 25 times its bytes in memory.
    if sum(map(content.count, _BEFORE_VALUES)) > ANSWER_VALUES:
        raise AnswerInvalid(f"it has over {ANSWER_VALUES} values")
    try:
        return read_object(content)
    except ValueError as error:
        raise AnswerInvalid(f"it is not JSON: {error}") from None


def _error(response: "HttpResponse", content_type: str, origin: str) -> VaultrError:
    status, retry_after = response.status, _retry_after(response)
    if content_type != "application/problem+json":
        if status in _GATEWAY:
            return ServerUnreachable(
                f"a gateway responded with status {status} instead of the server",
                retry_after=retry_after,
                not_done=status == _TOO_MANY,  # the gateway did not pass the request on
            )
        return _not_vaultr(origin, f"status {status} without a problem document")
    problem = _object(response.content)
    type_ = problem.get("type")
    slug = type_.removeprefix(PREFIX) if isinstance(type_, str) else ""
    if not _SLUG.fullmatch(slug) or problem.get("status") != status:
        return AnswerInvalid(f"it has status {status} with an invalid problem document")
    if slug in SLUGS and status not in statuses_of(slug):
        return AnswerInvalid(f"its status {status} does not belong to the problem {slug}")
    members = {name: error_text.printable(problem[name]) for name in problem}
    error = error_from_problem(slug, status, members | {"retry_after": retry_after})
    error_text.add_server_text(error)
    return error


def _retry_after(response: "HttpResponse") -> int | None:
    text = response.headers.get("Retry-After", "")
    return int(text) if re.fullmatch(r"[0-9]{1,7}", text) else None


def _seconds_to_wait(error: VaultrError, *, lost_is_safe: bool) -> float | None:
    """Return how long the server asks to wait; None if a retry is useless or not safe."""
    if isinstance(error, Refused):
        if error.slug not in _RETRIED_SLUGS:
            return None
        seconds = error.members.get("retry_after")
    elif isinstance(error, CertificateInvalid):
        return None
    elif isinstance(error, ServerUnreachable) and error.timed_out:
        return None  # it would only wait for the same time again
    elif isinstance(error, ServerUnreachable) and (lost_is_safe or error.not_done):
        seconds = error.retry_after
    else:
        return None
    return float(seconds) if isinstance(seconds, int) else 0.0
