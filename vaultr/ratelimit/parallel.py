"""Limits on parallel requests: no account or address can occupy all threads of a worker.

Rate limits alone do not protect the threads. Thirty connections that each read the largest page, or
read it slowly, stay within every rate limit and could still occupy all threads. A request holds its
slot until its response has been sent.
"""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from flask import Flask, request

from vaultr.app_state import AppSlot
from vaultr.errors import TooMany
from vaultr.settings.model import Settings

RETRY_SECONDS: Final = 1
BUFFERED_BYTES: Final = 64 * 1024
EMPTY: Final = ("204", "304")  # no body, so no Content-Length
# In the WSGI environment: the slots of this request.
_TAKEN: Final = "vaultr.parallel"


class RunningRequests:
    """Counts the running requests of each key.

    :param most: maximum number of running requests of a key.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    def take(self, key: str) -> bool:
        """Reserve a slot for ``key``; return whether a slot was free."""
        with self._lock:
            if self._taken[key] >= self._most:
                return False
            self._taken[key] += 1
            return True

    def release(self, key: str) -> None:
        """Release a slot that `take` reserved."""
        with self._lock:
            self._taken[key] -= 1
            if self._taken[key] <= 0:
                del self._taken[key]


Taken: TypeAlias = list[tuple[RunningRequests, str]]
_ACCOUNTS: Final = AppSlot[RunningRequests]("ratelimit.parallel_of_account")
_ADDRESSES: Final = AppSlot[RunningRequests]("ratelimit.parallel_of_address")


def init_app(app: Flask, settings: Settings) -> None:
    """Wrap the WSGI app, so that each slot is released after its response has been sent.

    A client address gets half as many slots as an account: anonymous requests are short.
    """
    most = settings.max_parallel_requests
    _ACCOUNTS.set(app, RunningRequests(most))
    _ADDRESSES.set(app, RunningRequests(max(1, most // 2)))
    app.wsgi_app = Releasing(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way


def take_of_account(account: str) -> None:
    """Reserve a slot of this worker for a request with a valid token.

    :raises TooMany: the maximum number of requests of the account is running.
    """
    _take(_ACCOUNTS.get(), account)


def take_of_address(address: str) -> None:
    """Reserve a slot of this worker for a request without a valid token.

    :raises TooMany: the maximum number of requests of the client address is running.
    """
    _take(_ADDRESSES.get(), address)


def _take(running: RunningRequests, key: str) -> None:
    taken = request.environ.get(_TAKEN)
    if taken is None:  # no gunicorn, so there are no threads to share
        return
    if not running.take(key):
        raise TooMany(
            "Too many of your requests are running. Wait a second, then try again.",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    taken.append((running, key))


class Releasing:
    """WSGI middleware: releases the slots of a request once its response has been sent.

    A short response fits into the socket's buffer. Its slots are released before it is sent:
    otherwise the client could receive it and send its next request too early.
    """

    def __init__(self, wsgi_app: Any) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, and release its slots."""
        if "gunicorn.socket" not in environ:
            return self._wsgi_app(environ, start_response)  # type: ignore[no-any-return]  # WSGI is untyped
        taken: Taken = []
        environ[_TAKEN] = taken
        short = False

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal short
            short = status[:3] in EMPTY or _length(headers) <= BUFFERED_BYTES
            return start_response(status, headers, *rest)

        try:
            response = self._wsgi_app(environ, start)
        except BaseException:
            _release(taken)
            raise
        if short:
            _release(taken)
        return _Sent(response, taken) if taken else response


class _Sent:
    """A response that releases the slots of its request when gunicorn closes it."""

    def __init__(self, response: Any, taken: Taken) -> None:
        self._response, self._taken = response, taken

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        """Release the slots, even if closing the response fails."""
        try:
            if hasattr(self._response, "close"):
                self._response.close()
        finally:
            _release(self._taken)


def _length(headers: list[tuple[str, str]]) -> float:
    """Return the length of a response; infinity if it is streamed."""
    found = (float(value) for name, value in headers if name.lower() == "content-length")
    return next(found, math.inf)


def _release(taken: Taken) -> None:
    while taken:
        running, key = taken.pop()
        running.release(key)
