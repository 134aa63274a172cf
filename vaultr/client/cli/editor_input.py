"""Edit an item in the user's editor, in a file that never reaches a disk."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import click

from vaultr.client.cli import add_input, output, prompts
from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.schemas import Part, check
from vaultr.client.storage.memory_folder import memory_folder

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item

_DEFAULT_EDITOR: Final = "vi"


def new_item(kind: str, overview: Part) -> tuple[Part, Part]:
    """Ask the user to write a new item in the editor; return its overview and detail."""
    names = [*add_input.PROMPTED_FIELDS.get(kind, ()), "notes"]
    if kind in add_input.MULTILINE_FIELD:
        names = [*dict.fromkeys([add_input.MULTILINE_FIELD[kind], "notes"])]
    template = {
        "overview": {"title": "", "username": "", "urls": [], "folder": "", "tags": [], **overview},
        "detail": {name: {} if name == "variables" else "" for name in names} | {"fields": []},
    }
    document = _edit_document(template, kind, None)
    parts = (document.get("overview", {}), document.get("detail", {}))
    filled = [{name: value for name, value in part.items() if value} for part in parts]
    return filled[0], filled[1]


def changes(item: "Item") -> tuple[Part, Part]:
    """Open an item in the user's editor; return the changes, where None removes a field."""
    stored = {"overview": item.overview, "detail": item.detail or {}}
    document = _edit_document(stored, item.type, item)
    changed = [_difference(stored[part], document.get(part, {})) for part in stored]
    return changed[0], changed[1]


def _difference(before: Part, after: Part) -> Part:
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    removed: Part = {name: None for name in before if name not in after}
    variables = [part.get("variables") for part in (before, after)]
    if "variables" in changed and all(isinstance(each, dict) for each in variables):
        changed["variables"] = _difference(variables[0] or {}, variables[1] or {})
    return {**changed, **removed}


def _edit_document(document: Part, kind: str, stored: "Item | None") -> Part:
    """Return the document that the user saved; after a mistake, offer to edit it again."""
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    while True:
        text = edit_text(text, suffix=".json")
        try:
            edited = add_input.parse_document(text.encode(errors="surrogatepass"), kind)
            overview, detail = edited.get("overview", {}), edited.get("detail", {})
            add_input.check_fields(kind, overview, detail, stored)
            add_input.check_totp(detail, stored.detail if stored else None)
            check(kind, overview, detail)
        except VaultrError as error:
            message = str(error).replace("Standard input", "The file")
            output.print_note(output.printable(message))
            if not click.confirm("Edit again?", default=True, err=True):
                raise VaultrError("Cancelled. Nothing was changed.") from None
        else:
            return edited


def edit_text(text: str, *, suffix: str) -> str:
    """Open a text in ``$VISUAL`` or ``$EDITOR``; return the saved text.

    The file is readable only by its owner (0600), in a folder on memory-backed storage. The folder
    and everything in it is removed at the end, even after an error or a signal. If the process is
    killed, the next command removes it.

    :raises UsageError: there is no terminal.
    :raises VaultrError: there is no memory-backed storage, or the editor failed.
    """
    if not prompts.can_ask() or not sys.stdin.isatty():
        raise UsageError("--editor needs a terminal. Use --json to read the item from stdin.")
    with _signals_as_exceptions(), memory_folder() as folder:
        file = folder / f"item{suffix}"
        file.touch(mode=0o600)
        file.write_text(text, "utf-8")
        _run_editor(file)
        # Some editors replace the file instead of writing to it.
        return file.read_text("utf-8", errors="surrogateescape")


def _run_editor(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or _DEFAULT_EDITOR
    try:
        # The user chooses the program and its arguments.
        done = subprocess.run([*shlex.split(editor), str(file)], check=False)  # nosec B603 # the user names it
    except (OSError, ValueError) as error:
        raise VaultrError(
            f"Cannot start the editor {editor}: {error}. Set EDITOR to another one."
        ) from None
    if done.returncode != 0:
        raise VaultrError(f"The editor exited with code {done.returncode}. Nothing was changed.")


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise an exception, so that ``finally`` clauses run."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
