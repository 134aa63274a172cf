"""The current time, always in UTC and aware."""

from datetime import UTC, datetime
from uuid import UUID

_UUID7 = 7
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999, the last year that datetime supports


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    """Format a time as RFC 3339 in UTC with ``Z`` and microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def of_uuid7(value: UUID) -> datetime | None:
    """Return the time in a UUIDv7 (RFC 9562 §5.7), or None if the id contains no valid time."""
    milliseconds = value.int >> 80
    if value.version != _UUID7 or milliseconds > _LATEST_MS:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
