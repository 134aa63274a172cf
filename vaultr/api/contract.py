"""What a view promises: what it takes, answers and refuses; the OpenAPI document reads it too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from vaultr import errors
from vaultr.errors import Forbidden, Refusal, Unprocessable

Access = Literal["read", "write"]


class StepUpRequired(Forbidden):
    """Prove your password again (POST /api/v1/auth/step-up), then repeat the request."""

    slug = "step-up-required"


class KeyReused(Unprocessable):
    """This Idempotency-Key came before, with another request; draw a new one."""

    slug = "idempotency-reused"


@dataclass(frozen=True, slots=True)
class Answer:
    """A model to show, with a status and headers of its own."""

    content: BaseModel | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contract:
    """What one view takes, answers and refuses.

    :ivar once: an Idempotency-Key on an authenticated POST gets the first answer again.
    """

    body: Any
    query: type[BaseModel] | None
    returns: Any
    statuses: tuple[int, ...]
    refuses: tuple[type[Refusal], ...]
    access: Access | None
    step_up: bool
    body_bytes: int
    max_keys: int
    media_type: str
    proves_session: bool
    once: bool


def contract_of(view: Any) -> Contract | None:
    """Give a view's contract, or None for a page."""
    return getattr(view, "contract", None)


ALWAYS: tuple[type[Refusal], ...] = (
    errors.TooMany,
    errors.Internal,
    errors.Unavailable,
    errors.Busy,
)
