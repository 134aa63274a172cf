"""Flask and extension hooks that Vaultr removes or replaces, each with the measured gain."""

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response

from vaultr.extensions import talisman


class Server(Flask):
    """Flask without its checks for coroutines, and with 204 for OPTIONS."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return each function unchanged, since Vaultr has no coroutines.

        Flask would check every hook on every request, which takes as long as reading the token.
        """
        return func

    def make_default_options_response(self) -> Response:
        """Return 204 with Allow."""
        response = super().make_default_options_response()
        response.status_code = 204
        response.headers.pop("Content-Type", None)
        return response


class ConstantHeaders:
    """WSGI middleware that adds the headers that are the same on every response.

    Flask would check each header for line breaks and copy it, and do both twice.
    """

    def __init__(self, wsgi_app: Any, headers: list[tuple[str, str]]) -> None:
        self._wsgi_app = wsgi_app
        self._headers = headers

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the app, and add the headers to its response."""

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, headers + self._headers, *rest)

        return self._wsgi_app(environ, start)  # type: ignore[no-any-return]  # WSGI is untyped


def take_talisman_headers(app: Flask) -> dict[str, str]:
    """Remove Talisman's hooks from ``app``, and return the headers that it would set.

    Talisman would write them again for each response, which takes 28 µs of the 133 µs of a response
    without I/O, and would trust X-Forwarded-Proto from any sender. In Vaultr, HSTS depends on
    TRUSTED_PROXIES alone.
    """
    app.before_request_funcs[None].remove(talisman._force_https)
    app.before_request_funcs[None].remove(talisman._make_nonce)
    app.after_request_funcs[None].remove(talisman._set_response_headers)
    response = Response()
    response.headers.clear()
    with app.test_request_context():
        talisman._set_response_headers(response)
    return dict(response.headers)
