"""Contracts: what each view takes, returns and rejects. OpenAPI is generated from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from flask import current_app, request
from pydantic import BaseModel

from vaultr import errors
from vaultr.errors import Forbidden, ServiceError, Unprocessable

Access = Literal["read", "write"]
View = TypeVar("View", bound=Callable[..., Any])

PROBE_PATHS: Final = frozenset({"/api/health", "/api/ready"})

# Cookies of a browser session, and the header that repeats the CSRF token.
ACCESS: Final = "__Host-vaultr_access"
REFRESH: Final = "__Host-vaultr_refresh"
CSRF: Final = "__Host-vaultr_csrf"
HEADER: Final = "X-CSRF-Token"


class StepUpRequired(Forbidden):
    """Prove your password again (POST /api/v1/auth/step-up), then repeat the request."""

    slug = "step-up-required"


class KeyReused(Unprocessable):
    """You used this Idempotency-Key for another request before. Use a new one."""

    slug = "idempotency-reused"


class CrossSite(Forbidden):
    """The request does not come from a page of this server, or lacks its session's X-CSRF-Token."""

    slug = "csrf"


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract of one view: what it takes, returns and rejects.

    :ivar idempotent: a repeated POST with its Idempotency-Key gets the first response again.
    :ivar machines: whether machines may call the view, besides accounts.
    :ivar prove: called with the first bytes of a large body; raises an error unless they prove who
        sent the body. Without this function, the session must be alive.
    :ivar if_match: whether the view reads an optional If-Match.
    """

    body: Any
    query: type[BaseModel] | None
    returns: Any
    statuses: tuple[int, ...]
    errors: tuple[type[ServiceError], ...]
    access: Access | None
    step_up: bool
    body_bytes: int
    max_keys: int
    media_type: str
    checks_session: bool
    idempotent: bool
    machines: bool
    prove: Callable[[bytes], None] | None = None
    if_match: bool = False


ALWAYS: tuple[type[ServiceError], ...] = (
    errors.TooMany,
    errors.Internal,
    errors.Unavailable,
    errors.Busy,
)


def contract_of(view: Any) -> Contract | None:
    """Return a view's contract, or None for a page."""
    return getattr(view, "contract", None)


def current_view() -> Any:
    """Return the view of the current request, or None if no route matches."""
    return current_app.view_functions.get(request.endpoint or "")


def current_contract() -> Contract | None:
    """Return the contract of the current request's view, or None for a page or no route."""
    return contract_of(current_view())


def public(view: View) -> View:
    """Open a view to anonymous requests. `tests/guards` lists every public view by name."""
    view.public = True  # type: ignore[attr-defined]  # read by authentication
    return view
