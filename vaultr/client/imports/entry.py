"""Build one draft from the values of a foreign entry, and report where each value is stored."""

import functools
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from vaultr.client.imports.reading import LeftOut, Report
from vaultr.client.items.schemas import Draft, Part

# The place of a login's password.
LOGIN_KEY: Final = "detail.password"
CUSTOM: Final = "custom field"
NOT_STORED: Final = "attachments are not stored"
TRASH: Final = "it is in the trash"
_MILLISECONDS: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - it is in UTC, and faster without a zone


class Entry:
    """One entry of another manager's file while it is converted to a draft.

    Empty values are ignored. A second value for one place becomes a custom field, so that no
    value is lost.

    :param kind: what the other manager calls this kind of entry.
    :param type: our type of item.
    """

    __slots__ = ("_left_out", "_moved", "_report", "detail", "kind", "overview", "source", "type")

    def __init__(self, report: Report, kind: str, type: str) -> None:
        self.kind = kind
        self.type = type
        self.overview: Part = {}
        self.detail: Part = {}
        self.source: dict[str, Any] = {}
        self._report = report
        self._left_out: list[tuple[str, str]] = []
        self._moved: list[tuple[str, str, str]] = []

    def put(self, theirs: str, place: str, value: object) -> None:
        """Store a value under ``place``, such as ``overview.username``."""
        if not value:
            return
        part, name = _split(place)
        values = self.overview if part == "overview" else self.detail
        if name in values:
            if values[name] != value:
                self.field(theirs, value, hidden=part == "detail")
            return
        values[name] = value
        self._moved.append((self.kind, theirs, name))

    def note(self, theirs: str, text: str | None) -> None:
        """Append a text to the notes."""
        if text:
            before = self.detail.get("notes")
            self.detail["notes"] = f"{before}\n{text}" if before else text
            self._moved.append((self.kind, theirs, "notes"))

    def url(self, theirs: str, url: str | None, match: str | None = None) -> None:
        """Add an address."""
        if url:
            urls = self.overview.setdefault("urls", [])
            if url not in urls:
                urls.append(url)
            if match:
                self.overview.setdefault("url_match", {})[url] = match
            self._moved.append((self.kind, theirs, "urls"))

    def field(
        self, name: str, value: object, *, hidden: bool = False, kind: str | None = None
    ) -> None:
        """Add a custom field."""
        if value is None or value == "":
            return
        text = value if isinstance(value, str) else _text(value)
        kind = kind or ("flag" if isinstance(value, bool) else "hidden" if hidden else "text")
        fields = self.detail.setdefault("fields", [])
        fields.append({"name": name, "kind": kind, "value": text})
        self._moved.append((self.kind, CUSTOM, "fields"))

    def past(self, password: str | None, until: str | None) -> None:
        """Add a previous password."""
        if password:
            used = {"used_until": until} if until else {}
            self.detail.setdefault("history", []).append({"password": password, **used})
            self._moved.append((self.kind, "password history", "history"))

    def attachment(self, name: str) -> None:
        """Report an attachment; the item keeps its name, but not its content."""
        self.source.setdefault("attachments", []).append(name)
        self.leave_out(f"attachment {name}", NOT_STORED)

    def leave_out(self, what: str, reason: str) -> None:
        """Report a part of this entry that is not imported."""
        self._left_out.append((what, reason))

    def drop(self, reason: str) -> None:
        """Report that the whole entry is not imported."""
        self._report.left_out.append(LeftOut(self._title(), self.kind, reason))

    def draft(self, manager: str, **source: Any) -> Draft:
        """Return the draft, and report where the values are stored.

        :param source: values without a field here, such as ``id`` and ``created_at``.
        """
        title = self._title()
        self._report.kinds[self.kind, self.type] += 1
        self._report.fields.update(self._moved)
        for what, reason in self._left_out:
            self._report.left_out.append(LeftOut(title, what, reason))
        kept: dict[str, Any] = {"manager": manager}
        for name, value in source.items():
            if value:
                kept[name] = value
        kept.update(self.source)
        self.detail["source"] = kept
        self.overview.pop("title", None)
        return Draft(self.type, {"title": title, **self.overview}, self.detail)

    def _title(self) -> str:
        title = self.overview.get("title")
        if isinstance(title, str) and title.strip():
            return title
        return title_without_name(self.overview)


def title_without_name(overview: Part) -> str:
    """Return a title for an entry without one: its host, its user name, or a fixed word."""
    try:
        host = urlsplit(overview.get("urls", [""])[0]).hostname
    except (ValueError, IndexError):
        host = None
    return host or overview.get("username") or "Untitled"


@functools.cache
def _split(place: str) -> tuple[str, str]:
    part, _, name = place.partition(".")
    return part, name


def time_of(seconds: object) -> str | None:
    """Format a time in seconds since 1970 as text; return None if it is invalid."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        return None
    return _time_of(seconds)


# Many entries of a file have the same times: of an earlier import, or of no change since.
@functools.lru_cache(maxsize=4096)
def _time_of(seconds: float) -> str | None:
    try:
        return f"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}Z"
    except (OverflowError, ValueError, OSError):
        return None


def time_of_milliseconds(text: str) -> str | None:
    """Format a time in milliseconds since 1970, as a decimal text; return None if it is invalid."""
    return time_of(int(text) / _MILLISECONDS) if text.isascii() and text.isdecimal() else None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
