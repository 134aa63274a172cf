"""What time it is: always UTC, always aware, and one place to ask."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    """Write ``moment`` as RFC 3339 in UTC with ``Z`` and microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
