"""Reads the clock that a server tells with its answers."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def time_of(date: str | None) -> datetime | None:
    """Read a ``Date`` of HTTP as a time in UTC; None for one that is missing, or no time at all."""
    try:
        told = parsedate_to_datetime(date or "")
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
