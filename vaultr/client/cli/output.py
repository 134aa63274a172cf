"""Writes answers: JSON for programs, lines and tables for people; nothing else goes to stdout."""

import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from vaultr.client.items.fields import text_of

if TYPE_CHECKING:
    from vaultr.client.vaultr_client import Item

# Categories of Unicode that move the cursor, hide text or turn its direction: a title that came
# from elsewhere could otherwise rewrite the screen.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")  # letters of Persian and emoji need them
_WIDE: Final = frozenset({"W", "F"})
_TITLE_COLUMNS: Final = 48
_LEAST_COLUMNS: Final = 10
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7e]")


def as_json(answer: object) -> None:
    """Write an answer as JSON in UTF-8, whatever the locale is.

    What a terminal would obey is escaped, as JSON lets every character be.
    """
    text = json.dumps(answer, ensure_ascii=False, indent=2)
    exactly(_NOT_ASCII.sub(lambda found: _json_safe(found[0]), text))


def _json_safe(letter: str) -> str:
    return json.dumps(letter)[1:-1] if _is_unseen(letter) else letter


def say(text: str) -> None:
    """Write one line of an answer; control characters in it are escaped."""
    click.echo(_screened(text))


def say_styled(text: str) -> None:
    """Write one line whose parts went through :func:`printable` before they got their style."""
    click.echo(text)


def result(in_json: bool, answer: object, line: str) -> None:
    """Say what was done: as JSON where that is wanted, else in one line."""
    if in_json:
        as_json(answer)
    else:
        say(line)


def exactly(text: str, *, newline: bool = True) -> None:
    """Write a value as it is, in UTF-8 and with one newline behind it."""
    sys.stdout.flush()
    # A lone surrogate is no text, yet JSON can hold one.
    data = text.encode(errors="backslashreplace")
    sys.stdout.buffer.write(data + b"\n" if newline else data)
    sys.stdout.buffer.flush()


def tell(text: str) -> None:
    """Write one line that is no answer: to stderr; control characters in it are escaped."""
    click.echo(_screened(text), err=True)


def is_terminal() -> bool:
    """Tell whether a person looks at the answer."""
    return sys.stdout.isatty()


def items(count: int) -> str:
    """Write how many items there are."""
    return f"{count} {'item' if count == 1 else 'items'}"


def printable(text: str) -> str:
    """Show a text that came from elsewhere on one line, its control characters as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(each)[1:-1] if _is_unseen(each) else each for each in text)


def _screened(text: str) -> str:
    # Whatever a caller forgot: a file name or a title must not control the terminal.
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def _is_unseen(letter: str) -> bool:
    return unicodedata.category(letter) in _UNSEEN and letter not in _JOINERS


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows in columns, each as wide as its widest cell; the last one is not filled up.

    On a terminal the widest columns but the last give way, until a line fits.
    """
    lines = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    if is_terminal():
        _narrow(widths, shutil.get_terminal_size().columns)
    for number, line in enumerate(lines):
        cells = [_filled(_cut(each, size), size) for each, size in zip(line, widths, strict=True)]
        text = "  ".join(cells).rstrip()
        say_styled(styled(text, bold=True) if number == 0 else text)


def rows(pairs: Sequence[tuple[str, str]], *, lines: bool = False) -> None:
    """Write names and texts in two columns.

    :param lines: a text of several lines is shown as such, and not on one with escapes.
    """
    width = max(_columns(printable(name)) for name, _ in pairs)
    for name, text in pairs:
        for number, line in enumerate(text.split("\n") if lines else [text]):
            label = _filled(printable(name) if number == 0 else "", width)
            say_styled(f"{styled(label, bold=True)}  {printable(line)}".rstrip())


def styled(text: str, **style: Any) -> str:
    """Give text its style on a terminal that shows colours, and for nobody else."""
    wanted = is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return click.style(text, **style) if wanted and text.strip() else text


def _narrow(widths: list[int], room: int) -> None:
    while sum(widths) + 2 * (len(widths) - 1) > room:
        widest = max(range(len(widths) - 1), key=lambda place: widths[place], default=-1)
        if widest < 0 or widths[widest] <= _LEAST_COLUMNS:
            return
        widths[widest] -= 1


def _cut(text: str, width: int) -> str:
    if _columns(text) <= width:
        return text
    end = room = 0
    while (room := room + _columns(text[end])) < width:
        end += 1
    return f"{text[:end]}…"


def shortened(text: str) -> str:
    """Cut a long text for a table."""
    return text if len(text) <= _TITLE_COLUMNS else f"{text[: _TITLE_COLUMNS - 1]}…"


def name_of(item: "Item") -> str:
    """Give what people know an item by."""
    return item.title if item.opens else "(does not open)"


def _filled(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in _WIDE)
        for each in text
    )


def item_json(item: "Item", *, reveal: bool) -> dict[str, Any]:
    """Give an item as JSON: the shape that add and edit take, too."""
    shown: dict[str, Any] = {
        "id": str(item.id),
        "vault_id": str(item.vault_id),
        "type": item.type,
        "revision": item.revision,
        "state": str(item.state),
        "created_at": time_text(item.created_at),
        "updated_at": time_text(item.updated_at),
        "overview": item.overview,
    }
    if not item.opens:
        shown["opens"] = False
    if reveal:
        shown["detail"] = item.detail
    return shown


def time_text(moment: Any) -> Any:
    """Write a time as the API does."""
    return moment.isoformat().replace("+00:00", "Z") if hasattr(moment, "isoformat") else moment


def lines_of(part: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Give the fields of a part as names and texts; nested ones by dotted names."""
    for name, value in part.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", text) for inner, text in lines_of(value))
        elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            for number, each in enumerate(value, start=1):
                inner_part = each if isinstance(each, Mapping) else {"": each}
                yield from (
                    (f"{name}[{number}].{inner}".rstrip("."), text)
                    for inner, text in lines_of(inner_part)
                )
        else:
            yield name, text_of(value)
