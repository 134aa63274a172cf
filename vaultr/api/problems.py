"""Convert errors to problem+json (RFC 9457). Only this module maps errors to HTTP statuses."""

import json
import secrets
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from vaultr import errors, request_context
from vaultr.api import security_headers
from vaultr.database.contention import is_contention
from vaultr.errors import ServiceError
from vaultr.observability import logs
from vaultr.protocol.problems import PREFIX

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[ServiceError], int] = {
    errors.BadRequest: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.LengthRequired: 411,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.Unprocessable: 422,
    errors.PreconditionRequired: 428,
    errors.TooMany: 429,
    errors.Internal: 500,
    errors.Unavailable: 503,
}
_OF_WERKZEUG: dict[int, type[ServiceError]] = {
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    411: errors.LengthRequired,
    413: errors.TooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.TooMany,
    503: errors.Unavailable,
}
_READ_ONLY = "25006"  # read_only_sql_transaction: this server has just become a standby


def status_of(error: type[ServiceError]) -> int:
    """Return the HTTP status for a kind of error."""
    return next(STATUS[kind] for kind in error.__mro__ if kind in STATUS)


def respond_with(error: ServiceError) -> Response:
    """Return the problem document for an error."""
    status = status_of(type(error))
    response = Response(document(error), status, mimetype=MEDIA_TYPE)
    response.headers.update(error.headers)
    if status == 401:
        response.headers.setdefault("WWW-Authenticate", "Bearer")
    logs.note_problem(error.slug)
    return response


def document(error: ServiceError) -> str:
    """Return the problem document of an error, as JSON on one line."""
    members = {
        **error.members,
        "type": f"{PREFIX}{error.slug}",
        "title": error.slug.replace("-", " ").capitalize(),
        "status": status_of(type(error)),
        "detail": error.detail,
        "request_id": request_context.current_origin().request_id,
    }
    if error.errors:
        members["errors"] = [
            {"pointer": fault.pointer, "message": fault.message} for fault in error.errors
        ]
    return json.dumps(members)


def error_for(error: Exception) -> ServiceError:
    """Return the error to report for any exception, without the exception's text."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, HTTPException):
        return _for_werkzeug(error)
    if isinstance(error, sa.exc.TimeoutError) or is_contention(error):
        return errors.Busy()
    if isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return errors.Unavailable()
    if isinstance(error, sa.exc.DBAPIError) and (
        error.connection_invalidated or getattr(error.orig, "pgcode", None) == _READ_ONLY
    ):
        return errors.Unavailable()
    return errors.Internal()


def _for_werkzeug(error: HTTPException) -> ServiceError:
    code = error.code or 500
    kind = _OF_WERKZEUG.get(code, errors.BadRequest if code < 500 else errors.Internal)
    headers = {}
    if code == 405 and (allowed := getattr(error, "valid_methods", None)):
        headers["Allow"] = ", ".join(sorted(allowed))
    return kind(headers=headers) if kind is not errors.Unavailable else kind()


def _handle(error: Exception) -> Response:
    problem = error_for(error)
    if status_of(type(problem)) >= 500 and not isinstance(error, ServiceError):
        logs.failure("request.failed", error, slug=problem.slug)
    return respond_with(problem)


class _LastResort:
    """WSGI middleware: responds even if the app's error handling failed."""

    def __init__(self, wsgi_app: Any) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # Threads are reused: remove the context of the previous request.
        request_context.set_actor(None)
        request_context.set_origin(request_context.NOWHERE)
        try:
            return self._wsgi_app(environ, start_response)  # type: ignore[no-any-return]  # WSGI is untyped
        except Exception as error:  # noqa: BLE001 - the client gets a response to any error
            if request_context.current_origin() is request_context.NOWHERE:
                request_context.set_origin(
                    replace(request_context.NOWHERE, request_id=secrets.token_hex(12))
                )
            logs.failure("request.failed", error, slug=errors.Internal.slug)
            # The other headers are added to every response.
            differ = {
                name: security_headers.API_HEADERS[name]
                for name in security_headers.VARYING_HEADERS
            }
            headers = {"Content-Type": MEDIA_TYPE, **differ}
            headers["X-Request-Id"] = request_context.current_origin().request_id
            if environ.get("wsgi.url_scheme") == "https":
                headers["Strict-Transport-Security"] = security_headers.HSTS
            start_response("500 Internal Server Error", [*headers.items()], sys.exc_info())
            return [document(errors.Internal()).encode()]


def init_app(app: Flask, _settings: object) -> None:
    """Return every error of the app as a problem document."""
    app.register_error_handler(Exception, _handle)
    app.wsgi_app = _LastResort(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way
