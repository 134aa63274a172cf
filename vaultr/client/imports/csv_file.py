"""Read CSV files of other managers and browsers, and any other CSV by a map of its columns."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vaultr.client.imports.csv_tables import TABLES, CsvRow, Table
from vaultr.client.imports.entry import LOGIN_KEY
from vaultr.client.imports.file_format import text_of
from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.imports.reading import ENTRIES_MOST, ImportFile, Reading, Report, checked
from vaultr.client.items.schemas import Draft

_DELIMITERS: Final = (",", ";", "\t")
_BITWARDEN: Final = (
    "This is a Bitwarden CSV file, which lacks cards, identities, keys and password history."
    " Export again as JSON (Tools, Export vault, file format .json) and import that file."
)
# Our fields that --map can fill, and where each is stored.
PLACES: Final[Mapping[str, str]] = {
    "title": "overview.title",
    "username": "overview.username",
    "url": "urls",
    "folder": "overview.folder",
    "tags": "tags",
    "password": LOGIN_KEY,
    "totp": "detail.totp",
    "notes": "notes",
    "id": "id",
}


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A CSV file: its header, and its rows with the line where each begins."""

    header: list[str]
    rows: Callable[[], Iterator[tuple[int, list[str]]]]


def recognise(text: str) -> str | None:
    """Return the format that the file's header belongs to; None if it is unknown."""
    header = _parsed(text, strict=False).header
    names = [name.strip().lower() for name in header]
    if names[:4] == ["folder", "favorite", "type", "name"] or names[:1] == ["collections"]:
        reject(_BITWARDEN)
    return next((table.name for table in TABLES if table.fits(names)), None)


def read_file(file: ImportFile) -> Reading:
    """Read a CSV file by the map of its columns, or else by its header.

    :raises ImportProblems: lists every invalid line.
    """
    text = text_of(file.data)
    parsed = _parsed(text, strict=True)
    if file.columns:
        table = _mapped(parsed.header, file.columns)
    else:
        name = recognise(text)
        if name is None:
            columns = ", ".join(each.strip()[:40] for each in parsed.header[:20])
            reject(
                "Vaultr does not know the program that wrote this CSV file. Say which column is"
                f" which field: --map title=COLUMN,password=COLUMN. The columns are: {columns}."
            )
        table = next(each for each in TABLES if each.name == name)
    return _read(parsed, table)


def _read(parsed: _Parsed, table: Table) -> Reading:
    names = [name.strip().lower() for name in parsed.header]
    report, drafts, problems = Report(), [], []
    for line, cells in parsed.rows():
        if not any(cells):
            continue
        if len(cells) != len(names):
            message = f"has {len(cells)} columns, and the first line has {len(names)}"
            problems.append(Problem(f"line {line}", message))
            continue
        if any("\0" in cell for cell in cells):
            problems.append(Problem(f"line {line}", "has a NUL character"))
            continue
        draft = table.read(CsvRow(dict(zip(names, cells, strict=True))), report)
        if draft is not None:
            drafts.append(draft)
        if len(drafts) > ENTRIES_MOST:
            reject(f"This file has more than {ENTRIES_MOST} entries; split it.")
    return checked(drafts, report, problems)


def _parsed(text: str, *, strict: bool) -> _Parsed:
    first = text.lstrip("\n").splitlines()[0] if text.strip() else ""
    delimiter = max(_DELIMITERS, key=first.count)

    def rows() -> Iterator[tuple[int, list[str]]]:
        # The reader's own field limit of 128 KiB is enough: no item accepts more.
        source = io.StringIO(text, newline="")
        reader = csv.reader(source, delimiter=delimiter, strict=strict)
        line = 1
        try:
            for cells in reader:
                yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            message = "has a quote that is never closed, or text behind a closing quote"
            if "limit" in str(error):
                message = f"has a value of more than {csv.field_size_limit() // 1024} KiB"
            raise ImportProblems([Problem(f"line {line}", message)]) from None

    header = next((cells for _, cells in rows() if any(cells)), [])
    if strict:
        _check_header(header)
    return _Parsed(header, lambda: _after_header(rows()))


def _after_header(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for _, cells in rows:
        if any(cells):
            break
    return rows


def _check_header(header: Sequence[str]) -> None:
    names = [name.strip().lower() for name in header]
    doubled = {name for name in names if name and names.count(name) > 1}
    if doubled:
        reject(f"The first line names a column twice: {', '.join(sorted(doubled))}.")


def _mapped(header: Sequence[str], columns: Mapping[str, str]) -> Table:
    """Return a table that reads the columns as mapped by the user; other columns become fields."""
    names = {name.strip().lower(): name.strip() for name in header}
    missing = [column for column in columns.values() if column.strip().lower() not in names]
    if missing:
        reject(f"The file has no column {', '.join(missing)}. It has: {', '.join(names.values())}.")
    ours = {column.strip().lower(): place for place, column in columns.items()}

    def read(row: CsvRow, report: Report) -> Draft | None:
        entry = row.entry(report, "row", "login" if row.any(_of(ours, "password")) else "note")
        for column, place in ours.items():
            row.put(entry, column, PLACES[place])
        return row.finished(entry, "csv", names)

    return Table("csv", frozenset(ours), read)


def _of(ours: Mapping[str, str], *places: str) -> list[str]:
    wanted = {*places, "username", "totp"}
    return [column for column, place in ours.items() if place in wanted]
