"""Recognise database errors that are caused by concurrent transactions."""

import sqlalchemy as sa

# Caused by another transaction: serialization failure, deadlock, lock timeout.
_CONTENTION = {"40001", "40P01", "55P03"}


def is_contention(error: BaseException) -> bool:
    """Return whether a concurrent transaction caused a database error."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    return getattr(error.orig, "pgcode", None) in _CONTENTION or "database is locked" in str(
        error.orig
    )
