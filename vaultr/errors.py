"""The kinds of refusal: what may be said no to, before HTTP gives each kind a status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field: a JSON pointer and a sentence that never repeats the value."""

    pointer: str
    message: str


class ServiceError(Exception):
    """Vaultr says no. Raising one undoes the transaction it is raised in.

    Features subclass a kind below and give it a ``slug``, which is API: never rename one. The
    first line of the class docstring is what the caller reads unless ``detail`` says more.

    :param errors: the fields that are wrong.
    :param members: further members of the problem document, such as ``revision``.
    :param headers: headers that the answer carries.
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
    """The request is malformed."""

    slug = "bad-request"


class Unauthenticated(ServiceError):
    """Sign in first: no valid token was sent."""

    slug = "unauthenticated"


class Forbidden(ServiceError):
    """This caller may not do this."""

    slug = "forbidden"


class NotFound(ServiceError):
    """There is nothing here."""

    slug = "not-found"


class MethodNotAllowed(ServiceError):
    """This method does not exist here."""

    slug = "method-not-allowed"


class Conflict(ServiceError):
    """The request does not fit what is stored."""

    slug = "conflict"


class Gone(ServiceError):
    """This was here once and is no longer kept."""

    slug = "epoch-pruned"


class LengthRequired(ServiceError):
    """Send a body with a Content-Length; chunked bodies are not taken."""

    slug = "length-required"


class PreconditionFailed(ServiceError):
    """What is stored has another revision than the request expects."""

    slug = "precondition-failed"


class TooLarge(ServiceError):
    """The body is larger than this route takes."""

    slug = "payload-too-large"


class UnsupportedMediaType(ServiceError):
    """Send application/json in UTF-8."""

    slug = "unsupported-media-type"


class Unprocessable(ServiceError):
    """The request is well formed, but a rule refuses it."""

    slug = "unprocessable"


class PreconditionRequired(ServiceError):
    """Send If-Match or If-None-Match."""

    slug = "precondition-required"


class TooMany(ServiceError):
    """Too many requests; wait as long as Retry-After says."""

    slug = "rate-limited"


class Internal(ServiceError):
    """Something went wrong inside the server; the request id finds it in the log."""

    slug = "internal"


class Unavailable(ServiceError):
    """A part that the server needs is away; try again soon."""

    slug = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1, **more: Any) -> None:
        headers = {"Retry-After": str(retry_after), **more.pop("headers", {})}
        super().__init__(detail, headers=headers, **more)


class Busy(Unavailable):
    """The server is busy; try again soon."""

    slug = "busy"
