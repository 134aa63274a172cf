"""Carries one request to the server and brings back a checked answer, or says what went wrong.

No redirect is followed, no proxy of the environment used, and nothing turns TLS checking off.
"""

import contextlib
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vaultr.client.errors import (
    AnswerInvalid,
    CertificateInvalid,
    Refused,
    ServerUnreachable,
    VaultrError,
    refusal,
)
from vaultr.client.strict_json import Json, read_object
from vaultr.client.transport import error_text
from vaultr.client.transport.origin import origin_of
from vaultr.protocol.problems import PREFIX, SLUGS, statuses_of
from vaultr.protocol.sizes import (
    ANSWER_BYTES,
    ANSWER_SECONDS,
    ANSWER_VALUES,
    SHORT_ANSWER_BYTES,
)

if TYPE_CHECKING:
    import httpx2

    from vaultr.client.transport.httpx_adapter import Exchanger, Received

BASE: Final = "/api/v1"
_SLUG = re.compile(r"[a-z0-9-]{1,64}")
_ETAG = re.compile(r'"[\x21\x23-\x7e]{0,128}"')
# Pages of a sync or a list, one version, and what a recovery hands over.
_LONG: Final = re.compile(r".*\?.*|/vaults/[^/]+/items/[^/]+/versions/[0-9]+|/auth/recover/start")
# Each begins a value of JSON, or stands before one; base64url, ids and times have none of them.
_BEFORE_VALUES: Final = (b"{", b"[", b",", b":")
_PROBE_SECONDS: Final = 15.0
# Read so that the connection can be used again; more is worth less than a new connection.
_UNHEARD_BYTES: Final = 64 * 1024
_SENT_AGAIN = frozenset({"rate-limited", "busy", "audit-unavailable", "unavailable"})
_TOO_MANY: Final = 429
_GATEWAY = frozenset({_TOO_MANY, 502, 503, 504})
# In which lost responses are asked for again, all attempts together.
_LOST_SECONDS: Final = 90.0
WAITING_SECONDS: Final = 2.0
_JITTER = secrets.SystemRandom()
_MOST_JITTER: Final = 1.25


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered, other than a refusal.

    :ivar size: how many bytes the body has.
    """

    status: int
    body: Json | None = field(repr=False)
    etag: str | None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe of the server showed, without any account.

    :ivar date: the clock of the server, as text of HTTP; None when it told none.
    :ivar tls: the TLS version and the certificate, as Python gives it; None over plain http.
    """

    status: int
    date: str | None
    tls: tuple[str, Mapping[str, Any]] | None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is sent, and how long it may wait in between."""

    tries: int = 4
    first_pause_seconds: float = 0.25
    longest_wait_seconds: float = 10.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


class Transport:
    """The way to one server, for one thread; nothing is opened before the first request.

    :ivar date: the clock of the server as its last answer had it, as text of HTTP.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: "httpx2.BaseTransport | None" = None,
        ca_file: Path | None = None,
        patience: Patience | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        answer_bytes: int = ANSWER_BYTES,
        offline: bool = False,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        self.origin = origin_of(url)
        self.date: str | None = None
        self._carrier = transport
        self._ca_file = ca_file
        self._patience = patience or Patience()
        self._answer_seconds = answer_seconds
        self._answer_bytes = answer_bytes
        self._offline = offline
        self._waiting = waiting
        self._ends = float("inf")
        self._exchanger: Exchanger | None = None
        if ca_file is not None:
            self._exchanging()  # a file without certificates is refused before anything is done

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._exchanger is not None:
            self._exchanger.close()

    def hurry(self, seconds: float) -> None:
        """Let all requests from now on end within ``seconds``, each sent once."""
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
        """Send one request under ``/api/v1``, and again with the same bytes where that is safe.

        :param again: it may be sent again when its answer was lost; a GET always may.
        :param longest_wait_seconds: how long it may wait when the server asks for time.
        :raises Refused: the server refused; the class tells how.
        :raises ServerUnreachable: no answer; nothing is known of what was done.
        :raises AnswerInvalid: the answer is none that a Vaultr server gives.
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
        longest = longest_wait_seconds or self._patience.longest_wait_seconds
        pause = self._patience.first_pause_seconds
        until = self._ends
        for left in range(self._patience.tries - 1, -1, -1):
            began = time.monotonic()
            try:
                return self._exchange(method, path, data, headers, until)
            except (Refused, ServerUnreachable) as error:
                wait = _wait(error, pause, lost_is_safe=lost_is_safe)
                if not left or wait is None or wait > longest:
                    raise
                if isinstance(error, ServerUnreachable):
                    until = min(until, began + _LOST_SECONDS)
                if time.monotonic() + wait * _MOST_JITTER >= until:
                    raise
            self._patience.sleep(wait * _JITTER.uniform(1.0, _MOST_JITTER))
            pause *= 2
        raise AssertionError("the last try returns or raises")

    @contextlib.contextmanager
    def _noticed(self) -> Iterator[None]:
        """Tell the user what is waited for, if it takes long."""
        if self._waiting is None:
            yield
            return
        timer = threading.Timer(WAITING_SECONDS, self._waiting, [self.origin])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def probe(self, path: str) -> Probe:
        """Ask for a probe, such as ``/api/ready``, once, and give whatever came.

        :raises ServerUnreachable: nothing came.
        """
        seconds = min(_PROBE_SECONDS, self._answer_seconds)
        most = min(self._answer_bytes, SHORT_ANSWER_BYTES)
        came = self._exchanging().send("GET", path, seconds=seconds, answer_bytes=most)
        return Probe(came.status, came.headers.get("Date"), came.tls, came.content)

    def send_unheard(
        self, method: str, path: str, *, headers: Mapping[str, str], seconds: float
    ) -> None:
        """Send one request under ``/api/v1``, once; whatever comes back, if anything, is dropped.

        :param seconds: how long it may take.
        """
        most = min(self._answer_bytes, _UNHEARD_BYTES)
        with contextlib.suppress(VaultrError):
            self._exchanging().send(
                method, BASE + path, None, headers, seconds=seconds, answer_bytes=most
            )

    def _exchange(
        self,
        method: str,
        path: str,
        data: bytes | None,
        headers: Mapping[str, str],
        until: float,
    ) -> Answer:
        given = dict(headers) | ({} if data is None else {"Content-Type": "application/json"})
        most = min(
            self._answer_bytes, ANSWER_BYTES if _LONG.fullmatch(path) else SHORT_ANSWER_BYTES
        )
        came = self._exchanging().send(
            method,
            BASE + path,
            data,
            given,
            seconds=max(0.0, min(self._answer_seconds, until - time.monotonic())),
            answer_bytes=most,
        )
        self.date = came.headers.get("Date")
        return _judge(came)

    def _exchanging(self) -> "Exchanger":
        if self._exchanger is None:
            # httpx2 takes long to import, and what is done without a server needs none of it.
            from vaultr.client.transport.httpx_adapter import Exchanger  # noqa: PLC0415 - late, see above

            self._exchanger = Exchanger(
                self.origin,
                carrier=self._carrier,
                ca_file=self._ca_file,
            )
        return self._exchanger


def _judge(came: "Received") -> Answer:
    status, content = came.status, came.content
    kind = came.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if 300 <= status < 400 and status != 304:
        raise AnswerInvalid("the server redirects elsewhere; Vaultr never does")
    if status >= 400:
        raise _refusal(came, kind)
    etag = came.headers.get("ETag")
    if etag is not None and not _ETAG.fullmatch(etag):
        raise AnswerInvalid("the server answered an odd ETag")
    if status in (204, 304):
        return Answer(status, None, etag)
    if status not in (200, 201, 202):
        raise AnswerInvalid(f"the server answered with status {status}")
    if not content and status == 202:
        return Answer(status, None, etag)
    if kind != "application/json":
        raise AnswerInvalid("the answer is not JSON")
    return Answer(status, _object(content), etag, len(content))


def _object(content: bytes) -> Json:
    # An empty object takes 25 times its bytes in memory.
    if sum(map(content.count, _BEFORE_VALUES)) > ANSWER_VALUES:
        raise AnswerInvalid(f"the answer has over {ANSWER_VALUES} values")
    try:
        return read_object(content)
    except ValueError as error:
        raise AnswerInvalid(f"the answer is not JSON: {error}") from None


def _refusal(came: "Received", kind: str) -> VaultrError:
    status = came.status
    if kind != "application/problem+json":
        if status in _GATEWAY:
            return ServerUnreachable(
                f"a gateway answered {status} in the server's place",
                retry_after=_asked(came)["retry_after"],
                not_done=status == _TOO_MANY,  # it did not pass the request on
            )
        return AnswerInvalid(f"status {status} without a problem document")
    problem = _object(came.content)
    type_ = problem.get("type")
    slug = type_.removeprefix(PREFIX) if isinstance(type_, str) else ""
    if not _SLUG.fullmatch(slug) or problem.get("status") != status:
        return AnswerInvalid(f"status {status} with an odd problem document")
    if slug in SLUGS and status not in statuses_of(slug):
        return AnswerInvalid(f"{slug} cannot have status {status}")
    shown = {name: error_text.shown(problem[name]) for name in problem}
    refused = refusal(slug, status, shown | _asked(came))
    error_text.say(refused)
    return refused


def _asked(came: "Received") -> Json:
    text = came.headers.get("Retry-After", "")
    return (
        {"retry_after": int(text)} if re.fullmatch(r"[0-9]{1,7}", text) else {"retry_after": None}
    )


def _wait(error: VaultrError, pause: float, *, lost_is_safe: bool) -> float | None:
    """Tell how long to wait before sending again; None when that is no use or not safe."""
    if isinstance(error, Refused):
        if error.slug not in _SENT_AGAIN:
            return None
        asked = error.members.get("retry_after")
    elif isinstance(error, CertificateInvalid):
        return None
    elif isinstance(error, ServerUnreachable) and error.timed_out:
        return None  # it would only wait as long once more
    elif isinstance(error, ServerUnreachable) and (lost_is_safe or error.not_done):
        asked = error.retry_after
    else:
        return None
    return max(pause, float(asked)) if isinstance(asked, int) else pause
