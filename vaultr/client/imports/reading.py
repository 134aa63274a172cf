"""Input and output of an importer: a file, drafts of items, and a report."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.items.schemas import Draft, ItemInvalid, check

# More than the default quota of one vault, and few enough to hold in memory.
ENTRIES_MOST = 50_000


def _no_password() -> str:
    return reject("This file needs a password, and none was passed.")


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file to import, with the options that some formats need.

    :ivar title: title of the environment set to create from the file.
    :ivar path: path of the file; a ``pass`` store is a folder and has no ``data``.
    :ivar ask_password: returns the file's password; called only if the file has one, and only after
        its KDF parameters passed their check.
    :ivar key_file: content of a KeePass key file.
    :ivar columns: column of a CSV file for each field of an item.
    """

    data: bytes = field(repr=False)
    title: str = "Imported"
    path: Path | None = None
    ask_password: Callable[[], str] = _no_password
    key_file: bytes | None = field(default=None, repr=False)
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing that is not imported: its entry, what it is, and why."""

    entry: str
    what: str
    reason: str


@dataclass(slots=True)
class Report:
    """The result in numbers: counts of entries and fields, and a list of what was not imported.

    :ivar kinds: entries by (the other manager's kind, our type).
    :ivar fields: values by (the other manager's kind, its field, our field).
    """

    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    fields: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    left_out: list[LeftOut] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        kinds = [
            {"kind": kind, "type": type_, "entries": count}
            for (kind, type_), count in sorted(self.kinds.items())
        ]
        fields = [
            {"kind": kind, "field": theirs, "becomes": ours, "values": count}
            for (kind, theirs, ours), count in sorted(self.fields.items())
        ]
        left_out = [
            {"entry": each.entry, "what": each.what, "reason": each.reason}
            for each in self.left_out
        ]
        return {"kinds": kinds, "fields": fields, "left_out": left_out}


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading one file."""

    drafts: list[Draft]
    report: Report


def checked(drafts: Sequence[Draft], report: Report, problems: Iterable[Problem] = ()) -> Reading:
    """Return the reading, after checking every draft against the schema of its type.

    :raises ImportProblems: lists every problem, one entry per line.
    """
    found = list(problems)
    if len(drafts) > ENTRIES_MOST:
        reject(f"This file has more than {ENTRIES_MOST} entries; split it.")
    for number, draft in enumerate(drafts, start=1):
        try:
            check(draft.type, draft.overview, draft.detail)
        except ItemInvalid as error:
            found += [Problem(f"entry {number}", f"{where} {what}") for where, what in error.faults]
    if found:
        raise ImportProblems(found)
    if not drafts:
        reject("This file has no entries that can be imported.")
    return Reading(list(drafts), report)
