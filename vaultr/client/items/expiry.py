"""Copies the expiry date of an API key into its overview, where lists show it."""

from datetime import date, datetime
from typing import Any

from vaultr.client.items.schemas import Part


def date_of(value: object) -> date | None:
    """Return the day in a date or a time as text; None if it is neither."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).date()
    except ValueError:
        return None


def with_expiry(overview: Part, detail: Part, named_fields: dict[str, Any] | None = None) -> Part:
    """Return the overview with the expiry date of ``expires_at`` in the detail.

    :param named_fields: the fields of the overview that the user named, which win.
    """
    named = overview if named_fields is None else named_fields
    day = date_of(detail.get("expires_at"))
    if day is None or "expires_on" in named:
        return overview
    return {**overview, "expires_on": day.isoformat()}
