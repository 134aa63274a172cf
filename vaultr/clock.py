"""The current time, always in UTC and aware."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    """Format a time as RFC 3339 in UTC with ``Z`` and microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
