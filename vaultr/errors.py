"""Kinds of errors that a client may see; `api.problems` maps each to an HTTP status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """An invalid field: its JSON pointer, and a message that never contains the value."""

    pointer: str
    message: str


class ServiceError(Exception):
    """The base of all errors that a client may see. Raising one rolls back the transaction.

    Features subclass a kind below and define a ``slug``, which is part of the API: never rename
    one. The first line of the docstring is the problem's detail, unless ``detail`` is passed.

    :param errors: the invalid fields.
    :param members: further members of the problem document, such as ``revision``.
    :param headers: headers of the response.
    :param audit_event: the audit event of this error, recorded after the rollback.
    """

    slug: ClassVar[str] = ""

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        audit_event: Any = None,
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.errors = tuple(errors)
        self.members = dict(members or {})
        self.headers = dict(headers or {})
        self.audit_event = audit_event
        super().__init__(self.detail)


class BadRequest(ServiceError):
    """The request is malformed. Correct it before you send it again."""

    slug = "bad-request"


class Unauthenticated(ServiceError):
    """Log in first: the request has no valid access token."""

    slug = "unauthenticated"


class Forbidden(ServiceError):
    """You are not allowed to do this."""

    slug = "forbidden"


class NotFound(ServiceError):
    """Nothing exists at this URL, or you have no access to it."""

    slug = "not-found"


class MethodNotAllowed(ServiceError):
    """This URL does not support this method."""

    slug = "method-not-allowed"


class Conflict(ServiceError):
    """The request conflicts with the stored state. Read it again, then retry."""

    slug = "conflict"


class Gone(ServiceError):
    """This existed, but is no longer stored."""

    slug = "epoch-pruned"


class LengthRequired(ServiceError):
    """Send a body with a Content-Length; chunked bodies are not supported."""

    slug = "length-required"


class PreconditionFailed(ServiceError):
    """The stored revision differs from the one in your request. Read it again, then retry."""

    slug = "precondition-failed"


class TooLarge(ServiceError):
    """The body exceeds the size limit of this operation."""

    slug = "payload-too-large"


class UnsupportedMediaType(ServiceError):
    """Send application/json in UTF-8."""

    slug = "unsupported-media-type"


class Unprocessable(ServiceError):
    """The request is well formed, but violates a rule. See errors for the fields."""

    slug = "unprocessable"


class PreconditionRequired(ServiceError):
    """Send If-Match or If-None-Match."""

    slug = "precondition-required"


class TooMany(ServiceError):
    """Too many requests. Wait for the seconds in Retry-After, then try again."""

    slug = "rate-limited"


class Internal(ServiceError):
    """The server failed. Report the request_id to its operator, who can find it in the log."""

    slug = "internal"


class Unavailable(ServiceError):
    """The server cannot reach a service that it needs. Try again soon."""

    slug = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1, **more: Any) -> None:
        headers = {"Retry-After": str(retry_after), **more.pop("headers", {})}
        super().__init__(detail, headers=headers, **more)


class Busy(Unavailable):
    """The server is busy. Try again soon."""

    slug = "busy"
