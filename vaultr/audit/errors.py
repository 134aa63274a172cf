"""Errors of the audit log."""

from typing import Any

from vaultr.errors import Conflict, NotFound, Unavailable, Unprocessable


class AuditUnavailable(Unavailable):
    """The event cannot be recorded now, so nothing was changed. Try again soon."""

    slug = "audit-unavailable"


class EventNotFound(NotFound):
    """No such event exists in this account."""


class EpochUnknown(NotFound):
    """No such tree exists, or no checkpoint of it yet."""


class NotSequencedYet(Conflict):
    """No checkpoint covers this event yet. Try again soon."""

    slug = "not-sequenced-yet"

    def __init__(self, detail: str | None = None, **more: Any) -> None:
        super().__init__(detail, headers={"Retry-After": "1"}, **more)


class SizeInvalid(Unprocessable):
    """The sizes do not belong to this tree."""
