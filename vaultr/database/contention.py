"""Database errors that only mean that another transaction was in the way."""

import sqlalchemy as sa

# What another transaction is to blame for: serialization, deadlock, lock not to be had in time.
_CONTENTION = {"40001", "40P01", "55P03"}


def is_contention(error: BaseException) -> bool:
    """Check whether a database error only says that somebody else was in the way."""
    if not isinstance(error, sa.exc.DBAPIError):
        return False
    return getattr(error.orig, "pgcode", None) in _CONTENTION or "database is locked" in str(
        error.orig
    )
