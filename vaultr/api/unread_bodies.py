"""Read the rest of a request once its response is ready, or close the connection.

Many responses are sent before the body is read (401, 404, 413, 415, 429). gunicorn would answer
with "keep-alive", read another 64 KiB, and then drop the connection. A proxy that has reused the
connection by then loses the next request, which may be another user's. This module reads up to 1
MiB before the response is sent. If more is left, it closes the connection, and `lingering_close`
reads the bytes in transit, so that no request thread is blocked.
"""

import threading
from collections.abc import Iterable
from typing import Any, Final

from flask import Flask
from gunicorn.http.errors import ParseException

from vaultr.api.large_bodies import PIECE_BYTES, STALLED, time_limit
from vaultr.protocol.sizes import BODY_BYTES
from vaultr.settings.model import Settings

# A slower sender would occupy a thread, so its connection is closed instead.
DISCARD_SECONDS: Final = 0.5

_received = threading.local()


def set_received(received: Any) -> None:
    """Store this thread's gunicorn request, through which its connection can be closed."""
    _received.request = received


def init_app(app: Flask, _settings: Settings) -> None:
    """Wrap the WSGI app, inside the middlewares that add headers."""
    app.wsgi_app = UnreadBodies(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way


class UnreadBodies:
    """WSGI middleware: leaves no unread part of a request on a connection that stays open."""

    def __init__(self, wsgi_app: Any) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Respond, and read the rest of the body or close the connection."""
        if environ.get("CONTENT_LENGTH") in (None, "", "0") and not _chunked(environ):
            return self._wsgi_app(environ, start_response)  # type: ignore[no-any-return]  # WSGI is untyped
        body = environ["wsgi.input"] = _CountedBody(environ)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            received = getattr(_received, "request", None)
            if not body.discard(BODY_BYTES, DISCARD_SECONDS) and received is not None:
                received.force_close()
            return start_response(status, headers, *rest)

        return self._wsgi_app(environ, start)  # type: ignore[no-any-return]  # WSGI is untyped


class _CountedBody:
    """The body of a request; counts how much of it was read."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._environ = environ
        self._stream = environ["wsgi.input"]
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes."""
        piece: bytes = self._stream.read(size)
        self._count += len(piece)
        return piece

    def discard(self, limit: int, seconds: float) -> bool:
        """Read the rest of a body of up to ``limit`` bytes; return whether nothing is left."""
        length = int(self._environ.get("CONTENT_LENGTH") or 0)
        if self._environ.get(STALLED) or length > limit:
            return False
        if not _chunked(self._environ) and self._count >= length:
            return True
        return self.read_out(limit, seconds)

    def read_out(self, limit: int, seconds: float) -> bool:
        """Read up to ``limit`` bytes for at most ``seconds``; return whether the body ended."""
        left = limit
        try:
            with time_limit(self._environ, seconds):
                while left > 0 and (piece := self.read(PIECE_BYTES)):
                    left -= len(piece)
        except (OSError, ParseException):  # the sender disconnected, or sent malformed chunks
            self._environ[STALLED] = True
        return left > 0 and not self._environ.get(STALLED)


def _chunked(environ: dict[str, Any]) -> bool:
    return bool(environ.get("HTTP_TRANSFER_ENCODING"))
