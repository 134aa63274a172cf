"""Errors of the audit log."""

from vaultr.errors import Unavailable


class AuditUnavailable(Unavailable):
    """The event cannot be recorded now, so nothing was changed. Try again soon."""

    slug = "audit-unavailable"
