"""What is refused because it could not be recorded."""

from vaultr.errors import Unavailable


class AuditUnavailable(Unavailable):
    """This cannot be recorded now, so it was not done; try again soon."""

    slug = "audit-unavailable"
