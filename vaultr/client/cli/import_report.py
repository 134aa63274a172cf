"""Read a file for the import command, and show what is imported and what is not."""

import contextlib
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vaultr.client.cli import output, prompts
from vaultr.client.cli.options import GlobalOptions
from vaultr.client.errors import UsageError
from vaultr.client.imports.formats import FORMATS

if TYPE_CHECKING:
    from vaultr.client.imports.reading import Reading, Report
    from vaultr.client.vaultr_client import ImportRun

_KEY_FILE_BYTES = 1024 * 1024
_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileOptions:
    """The user's options for the file."""

    form: str | None
    title: str | None
    columns: tuple[str, ...]
    key_file: Path | None
    password_fd: int | None


_FILE_OPTIONS = (
    click.option(
        "--format",
        "form",
        type=click.Choice(list(FORMATS)),
        metavar="FORMAT",
        help="File format (default: recognised by content)",
    ),
    click.option("--title", metavar="TEXT", help="Title of the environment set"),
    click.option(
        "--map",
        "columns",
        metavar="FIELD=COLUMN",
        multiple=True,
        help="Column of a CSV file for a field (repeatable, or separated by commas)",
    ),
    click.option(
        "--key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Key file of a KeePass database",
    ),
    click.option(
        "--file-password-fd",
        type=click.IntRange(min=0),
        metavar="N",
        help="Read the password of the file from file descriptor N",
    ),
)


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Declare the options for the file, and pass their values as ``file_options``."""

    @wraps(function)
    def gathered(
        *arguments: Any,
        form: str | None,
        title: str | None,
        columns: tuple[str, ...],
        key_file: Path | None,
        file_password_fd: int | None,
        **named: Any,
    ) -> Any:
        file_options = FileOptions(form, title, columns, key_file, file_password_fd)
        return function(*arguments, file_options=file_options, **named)

    for declare in reversed(_FILE_OPTIONS):
        gathered = declare(gathered)
    return gathered


def read(options: GlobalOptions, file: Path, file_options: FileOptions) -> "Reading":
    """Read the file with the importer of its format.

    :raises ImportProblems: the file has problems.
    """
    # Importing these modules would slow every other command down.
    from vaultr.client.imports import csv_file, formats, reading  # noqa: PLC0415 - late, see above

    if str(file) == "-":
        data = prompts.read_input(options)
    else:
        data = b"" if file.is_dir() else _content_of(file, prompts.MAX_INPUT_BYTES)
    columns = _columns(file_options.columns, csv_file.PLACES)
    if file_options.form is not None:
        found = formats.FORMATS[file_options.form]
    elif columns:
        found = formats.FORMATS["csv"]
    else:
        found = formats.recognise(data, file)
    return found.read(
        reading.ImportFile(
            data=data,
            title=_title(file, file_options.title, needed=found.name == "dotenv"),
            path=file,
            ask_password=lambda: _file_password(file_options.password_fd),
            key_file=_content_of(file_options.key_file, _KEY_FILE_BYTES)
            if file_options.key_file
            else None,
            columns=columns,
        )
    )


def _content_of(file: Path, most: int) -> bytes:
    """Return a file's content, but at most ``most`` bytes plus one."""
    data = bytearray()
    with file.open("rb") as source:
        # In chunks: reading `most` bytes together takes that much memory, even for a small file.
        while len(data) <= most and (piece := source.read(min(_PIECE_BYTES, most + 1 - len(data)))):
            data += piece
    return bytes(data)


def _title(file: Path, title: str | None, *, needed: bool) -> str:
    if title is not None:
        return title
    if str(file) == "-":
        if needed:
            raise UsageError("Standard input has no file name. Use --title TEXT.")
        return "Imported"
    return file.name


def _columns(pairs: tuple[str, ...], places: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in (each for pairs_text in pairs for each in pairs_text.split(",")):
        place, equals, column = (part.strip() for part in pair.partition("="))
        if not equals or not column:
            raise UsageError("--map takes FIELD=COLUMN, such as title=Name,password=Secret.")
        if place not in places:
            raise UsageError(f"--map does not know the field {place}. Use: {', '.join(places)}.")
        if place in found:
            raise UsageError(f"--map has two columns for {place}.")
        found[place] = column
    return found


def _file_password(descriptor: int | None) -> str:
    if descriptor is not None:
        return prompts.read_descriptor(descriptor, "--file-password-fd")
    if not prompts.can_ask():
        raise UsageError(
            "This file has a password, and there is no terminal to ask for it. Use"
            " --file-password-fd."
        )
    return prompts.ask_hidden("Password of the file", empty=True)


@contextlib.contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call after each batch, which shows progress and stops after Ctrl-C.

    After the first Ctrl-C, the current batch finishes, so that it is known what was stored. The
    second Ctrl-C stops immediately.
    """
    stopping = several = False

    def stop(*_: object) -> None:
        nonlocal stopping
        if stopping:
            raise KeyboardInterrupt
        stopping = True
        output.print_note("\nStopping after this batch. Press Ctrl-C again to stop immediately.")

    def show(done: int, total: int) -> None:
        nonlocal several
        several = several or done < total
        if several and sys.stderr.isatty():
            click.echo(f"\r{done} of {total} items", err=True, nl=done == total)
        if stopping and done < total:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield show
    finally:
        signal.signal(signal.SIGINT, before)


def show_dry_run(options: GlobalOptions, reading: "Reading") -> None:
    """Show which entries become which items, where fields are stored, and what is not imported."""
    drafts, report = reading.drafts, reading.report
    types = dict(Counter(draft.type for draft in drafts))
    if options.json:
        answer = {"read": len(drafts), "imported": 0, "types": types, **report.to_json()}
        output.print_json(answer)
        return
    if [*types] == ["env_set"] and len(drafts) == 1:
        variables = len(drafts[0].detail["variables"])
        print_set("Can be imported", drafts[0].overview["title"], variables)
    else:
        output.print_line(f"Can be imported: {counted(types)}.")
    rows = [(str(count), kind, ours) for (kind, ours), count in sorted(report.kinds.items())]
    output.print_line("")
    output.print_table(("ENTRIES", "KIND", "BECOMES"), rows)
    fields = [
        (str(count), kind, theirs, ours)
        for (kind, theirs, ours), count in sorted(report.fields.items())
    ]
    if fields:
        output.print_line("")
        output.print_table(("VALUES", "KIND", "FIELD", "BECOMES"), fields)
    if report.left_out:
        output.print_line("")
        left = [(each.entry, each.what, each.reason) for each in report.left_out]
        output.print_table(("ENTRY", "NOT IMPORTED", "REASON"), left)


def print_left_out(report: "Report") -> None:
    """List on stderr what is not imported."""
    for each in report.left_out:
        text = f"{each.entry}: {each.what} was not imported: {each.reason}."
        output.print_note(output.printable(text))


def show_runs(runs: "list[ImportRun]") -> None:
    """Show earlier imports in a table."""
    rows = [
        (run.id, run.imported_at, run.manager, str(len(run.unchanged)), str(len(run.changed)))
        for run in runs
    ]
    output.print_table(("ID", "IMPORTED", "FROM", "UNCHANGED", "CHANGED"), rows)


def run_json(run: "ImportRun") -> dict[str, Any]:
    """Return one import as JSON values."""
    return {
        "id": run.id,
        "imported_at": run.imported_at,
        "manager": run.manager,
        "unchanged": [str(item.id) for item in run.unchanged],
        "changed": [str(item.id) for item in run.changed],
    }


def print_set(done: str, title: str, variables: int) -> None:
    """Print what was done with one environment set."""
    count = f"{variables} variable{'' if variables == 1 else 's'}"
    output.print_line(f"{done}: {output.printable(title)} ({count}).")


def counted(types: Mapping[str, int]) -> str:
    """Format the number of items, and their types."""
    parts = ", ".join(f"{number} {name}" for name, number in types.items())
    return f"{output.items(sum(types.values()))}{f' ({parts})' if parts else ''}"


def entries(count: int) -> str:
    """Format the number of entries."""
    return f"{count} {'entry was' if count == 1 else 'entries were'}"
