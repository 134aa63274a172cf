"""The CSV tables of other managers: their columns, and how each row is read."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from vaultr.client.imports.entry import LOGIN_KEY, Entry, time_of_milliseconds
from vaultr.client.imports.reading import Report
from vaultr.client.items.schemas import Draft

_NOTE_TYPE: Final = re.compile(r"NoteType:(.+)")
_LOGIN: Final = {"url": "urls", "username": "overview.username", "password": LOGIN_KEY}
_LASTPASS_NOTE: Final = "http://sn"
_LASTPASS_CARD: Final = {
    "Name on Card": "detail.cardholder",
    "Type": "overview.brand",
    "Number": "detail.number",
    "Security Code": "detail.code",
}
_PSONO_KINDS: Final = (
    ("website_password", "login"),
    ("application_password", "login"),
    ("bookmark", "login"),
    ("totp", "login"),
    ("note", "note"),
    ("environment_variables", "note"),
)
_PSONO: Final = {
    "title": "overview.title",
    "username": "overview.username",
    "password": LOGIN_KEY,
    "url": "urls",
    "notes": "notes",
    "code": "detail.totp",
    "totp_code": "detail.totp",
}


class CsvRow:
    """One row. Values are taken column by column, and the rest becomes custom fields."""

    def __init__(self, cells: dict[str, str]) -> None:
        self._cells = cells
        self._taken: set[str] = set()

    def __getitem__(self, column: str) -> str:
        self._taken.add(column)
        return self._cells.get(column, "")

    def skip(self, column: str) -> None:
        """Take a column whose value is not needed."""
        self._taken.add(column)

    def any(self, columns: Iterable[str]) -> bool:
        """Return whether one of the columns has a value, without taking any."""
        return any(self._cells.get(column) for column in columns)

    def entry(self, report: Report, kind: str, type: str) -> Entry:
        """Begin the entry of this row."""
        return Entry(report, kind, type)

    def put(self, entry: Entry, column: str, place: str) -> None:
        """Store one column in its place."""
        value = self[column]
        if place == "urls":
            entry.url(column, value)
        elif place == "notes":
            entry.note(column, value)
        elif place == "tags":
            entry.put(column, "overview.tags", _listed(value))
        elif place == "id":
            entry.source["id"] = value
        elif place == "fields":
            entry.field(column, value, hidden=True)
        else:
            entry.put(column, place, value)

    def put_all(self, entry: Entry, places: Mapping[str, str]) -> None:
        """Store several columns in their places."""
        for column, place in places.items():
            self.put(entry, column, place)

    def finished(self, entry: Entry, manager: str, names: Mapping[str, str] | None = None) -> Draft:
        """Return the draft; the remaining columns become custom fields."""
        for column, value in self._cells.items():
            if column not in self._taken:
                entry.field((names or {}).get(column, column), value)
        known = {name: value for name, value in entry.source.items() if value}
        entry.source = known
        return entry.draft(manager)


@dataclass(frozen=True, slots=True)
class Table:
    """One manager's table; ``columns`` are those by which its header is recognised."""

    name: str
    columns: frozenset[str]
    read: Callable[[CsvRow, Report], Draft | None]
    exact: bool = False

    def fits(self, names: Iterable[str]) -> bool:
        """Return whether a header, in lower case, belongs to this table."""
        header = frozenset(names)
        return header == self.columns if self.exact else self.columns <= header


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.replace(";", ",").split(",") if each.strip()]


def _lastpass(row: CsvRow, report: Report) -> Draft:
    extra, is_note = row["extra"], row["url"] == _LASTPASS_NOTE
    found = _NOTE_TYPE.match(extra) if is_note else None
    kind = found[1].strip() if found else "secure note" if is_note else "login"
    ours = "card" if kind == "Credit Card" else "note" if is_note else "login"
    entry = row.entry(report, kind, ours)
    row.put(entry, "name", "overview.title")
    if not is_note:
        row.put(entry, "url", "urls")
    entry.put("grouping", "overview.folder", row["grouping"].replace("\\", "/"))
    entry.put("fav", "overview.favourite", row["fav"] == "1")
    row.put(entry, "username", "overview.username")
    row.put(entry, "password", LOGIN_KEY if ours == "login" else "fields")
    row.put(entry, "totp", "detail.totp" if ours == "login" else "fields")
    if found:
        _lastpass_note(entry, extra)
    else:
        entry.note("extra", extra)
    return row.finished(entry, "lastpass")


def _lastpass_note(entry: Entry, extra: str) -> None:
    """Read the ``Name:value`` lines of a typed note; its own notes come last."""
    lines = extra.splitlines()[1:]
    for number, line in enumerate(lines):
        name, colon, value = line.partition(":")
        if name == "Notes" and colon:
            entry.note("Notes", "\n".join([value, *lines[number + 1 :]]))
            return
        if not colon:
            entry.note("Notes", line)
        elif entry.type == "card" and name in _LASTPASS_CARD:
            entry.put(name, _LASTPASS_CARD[name], value)
        elif name != "Language":
            entry.field(name, value, hidden=True)


def _chrome(row: CsvRow, report: Report) -> Draft:
    entry = row.entry(report, "login", "login")
    row.put_all(entry, {"name": "overview.title", **_LOGIN, "note": "notes"})
    return row.finished(entry, "chrome")


def _firefox(row: CsvRow, report: Report) -> Draft:
    entry = row.entry(report, "login", "login")
    row.put_all(entry, {**_LOGIN, "guid": "id"})
    entry.source["created_at"] = time_of_milliseconds(row["timecreated"])
    entry.source["updated_at"] = time_of_milliseconds(row["timepasswordchanged"])
    entry.source["used_at"] = time_of_milliseconds(row["timelastused"])
    if row["formactionorigin"] != row["url"]:
        entry.field("formActionOrigin", row["formactionorigin"])
    return row.finished(entry, "firefox")


def _safari(row: CsvRow, report: Report) -> Draft:
    entry = row.entry(report, "login", "login")
    places = {"title": "overview.title", **_LOGIN, "notes": "notes", "otpauth": "detail.totp"}
    row.put_all(entry, places)
    return row.finished(entry, "safari")


def _keepassxc_as(manager: str) -> Callable[[CsvRow, Report], Draft]:
    def read(row: CsvRow, report: Report) -> Draft:
        entry = row.entry(report, "entry", "login")
        # KeePassXC prepends the name of the root group to every path.
        group = row["group"]
        folder = group.partition("/")[2]
        entry.put("group", "overview.folder", folder or ("" if group == "Root" else group))
        row.put_all(entry, {"title": "overview.title", **_LOGIN, "notes": "notes"})
        row.put(entry, "totp", "detail.totp")
        row.skip("icon")  # the number of an icon
        entry.source["created_at"] = row["created"]
        entry.source["updated_at"] = row["last modified"]
        return row.finished(entry, manager)

    return read


def _psono(row: CsvRow, report: Report) -> Draft:
    kind, ours = next(
        (each for each in _PSONO_KINDS if row["type"] == each[0] or row.any([f"{each[0]}_title"])),
        ("entry", "note"),
    )
    entry = row.entry(report, kind, ours)
    for suffix, place in _PSONO.items():
        column = f"{kind}_{suffix}"
        if row.any([column]):
            secret = place.startswith("detail.") and ours != "login"
            row.put(entry, column, "fields" if secret else place)
    row.put_all(entry, {"path": "overview.folder", "id": "id"})
    return row.finished(entry, "psono")


_XC: Final = frozenset({"group", "title", "username", "password", "url", "notes"})
TABLES: Final = (
    Table(
        "lastpass",
        frozenset({"url", "username", "password", "extra", "name", "grouping"}),
        _lastpass,
    ),
    Table("firefox", frozenset({"url", "username", "password", "guid", "timecreated"}), _firefox),
    Table("keepassxc", _XC | {"icon", "last modified", "created"}, _keepassxc_as("keepassxc")),
    Table("passbolt", _XC, _keepassxc_as("passbolt")),
    Table("psono", frozenset({"type", "website_password_password"}), _psono),
    Table(
        "safari", frozenset({"title", "url", "username", "password", "notes", "otpauth"}), _safari
    ),
    Table("safari", frozenset({"title", "url", "username", "password"}), _safari, exact=True),
    Table("chrome", frozenset({"name", "url", "username", "password"}), _chrome),
)
