"""Prepared JSON responses for frequent reads."""

from typing import TYPE_CHECKING

from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class _Finished(Response):
    """A response whose headers are final. Werkzeug would otherwise check each of them."""

    def get_wsgi_headers(self, _environ: "WSGIEnvironment") -> Headers:
        """Return the headers unchanged."""
        return self.headers


def json(body: str | None, *, tag: str | None = None) -> Response:
    """Return a response with this JSON text; without a text, return 304."""
    if body is None:
        response = _Finished(status=304)
        response.headers.pop("Content-Type", None)
    else:
        data = body.encode()
        response = _Finished(data, mimetype="application/json")
        response.headers["Content-Length"] = str(len(data))
    if tag is not None:
        response.headers["ETag"] = f'"{tag}"'
    return response
