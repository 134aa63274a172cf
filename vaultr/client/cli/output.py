"""Print results to stdout as JSON, lines or tables, and everything else to stderr."""

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

# Unicode categories that move the cursor, hide text or change its direction. Without escaping, a
# title from another client could rewrite the screen.
_CONTROL_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")  # Persian text and emoji need them
_WIDE: Final = frozenset({"W", "F"})
_TITLE_COLUMNS: Final = 48
_MIN_COLUMNS: Final = 10
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7e]")


def print_json(value: object) -> None:
    """Print a value as JSON in UTF-8, independent of the locale.

    Control characters are escaped, so that a terminal does not act on them.
    """
    print_value(_json_text(value, indent=2))


def print_json_note(value: object) -> None:
    """Print a value as one line of JSON to stderr, such as an error."""
    print_note(_json_text(value, indent=None))


def _json_text(value: object, *, indent: int | None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _NOT_ASCII.sub(lambda match: _json_escaped(match[0]), text)


def _json_escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if _is_control(character) else character


def print_line(text: str) -> None:
    """Print one line of the result; control characters in it are escaped."""
    click.echo(_escaped(text))


def print_styled_line(text: str) -> None:
    """Print one line whose parts were passed through :func:`printable` before styling."""
    click.echo(text)


def print_result(in_json: bool, value: object, line: str) -> None:
    """Print the result as JSON, or as one line for people."""
    if in_json:
        print_json(value)
    else:
        print_line(line)


def print_value(text: str, *, newline: bool = True) -> None:
    """Print a value unchanged, in UTF-8, followed by one newline."""
    sys.stdout.flush()
    # JSON can hold a lone surrogate, which UTF-8 cannot encode.
    data = text.encode(errors="backslashreplace")
    sys.stdout.buffer.write(data + b"\n" if newline else data)
    sys.stdout.buffer.flush()


def print_note(text: str) -> None:
    """Print one line to stderr, not part of the result; control characters are escaped."""
    click.echo(_escaped(text), err=True)


def is_terminal() -> bool:
    """Check whether stdout is a terminal."""
    return sys.stdout.isatty()


def items(count: int) -> str:
    """Return a number of items as text."""
    return f"{count} {'item' if count == 1 else 'items'}"


def printable(text: str) -> str:
    """Return an untrusted text on one line, with its control characters escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(ascii(each)[1:-1] if _is_control(each) else each for each in text)


def _escaped(text: str) -> str:
    # A second defence: a file name or a title must not control the terminal.
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _CONTROL_CATEGORIES and character not in _JOINERS


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns, each as wide as its widest cell; do not pad the last column.

    On a terminal, narrow the widest columns (never the last) until a line fits.
    """
    lines = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(_columns, column)) for column in zip(*lines, strict=True)]
    if is_terminal():
        _narrow(widths, shutil.get_terminal_size().columns)
    for number, line in enumerate(lines):
        cells = [_padded(_cut(each, size), size) for each, size in zip(line, widths, strict=True)]
        text = "  ".join(cells).rstrip()
        print_styled_line(styled(text, bold=True) if number == 0 else text)


def print_fields(pairs: Sequence[tuple[str, str]], *, multiline: bool = False) -> None:
    """Print names and texts in two columns.

    :param multiline: print a multi-line text on several lines, not on one line with escapes.
    """
    width = max(_columns(printable(name)) for name, _ in pairs)
    for name, text in pairs:
        for number, line in enumerate(text.split("\n") if multiline else [text]):
            label = _padded(printable(name) if number == 0 else "", width)
            print_styled_line(f"{styled(label, bold=True)}  {printable(line)}".rstrip())


def styled(text: str, **style: Any) -> str:
    """Return the text with a style if stdout is a terminal that shows colors."""
    colors = is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return click.style(text, **style) if colors and text.strip() else text


def _narrow(widths: list[int], columns: int) -> None:
    while sum(widths) + 2 * (len(widths) - 1) > columns:
        widest = max(range(len(widths) - 1), key=lambda index: widths[index], default=-1)
        if widest < 0 or widths[widest] <= _MIN_COLUMNS:
            return
        widths[widest] -= 1


def _cut(text: str, width: int) -> str:
    if _columns(text) <= width:
        return text
    end = columns = 0
    while (columns := columns + _columns(text[end])) < width:
        end += 1
    return f"{text[:end]}…"


def shortened(text: str) -> str:
    """Return a long text shortened for a table."""
    return text if len(text) <= _TITLE_COLUMNS else f"{text[: _TITLE_COLUMNS - 1]}…"


def display_name(item: "Item") -> str:
    """Return the title of an item, or a placeholder if the item cannot be opened."""
    return item.title if item.opens else "(cannot be opened)"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in _WIDE)
        for each in text
    )


def item_json(item: "Item", *, reveal: bool) -> dict[str, Any]:
    """Return an item in the JSON form that add and edit accept."""
    document: dict[str, Any] = {
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
        document["opens"] = False
    if reveal:
        document["detail"] = item.detail
    return document


def time_text(moment: Any) -> Any:
    """Return a time in the format of the API."""
    return moment.isoformat().replace("+00:00", "Z") if hasattr(moment, "isoformat") else moment


def field_texts(part: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield name and text of each field; nested fields get dotted names."""
    for name, value in part.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", text) for inner, text in field_texts(value))
        elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            for number, each in enumerate(value, start=1):
                inner_part = each if isinstance(each, Mapping) else {"": each}
                yield from (
                    (f"{name}[{number}].{inner}".rstrip("."), text)
                    for inner, text in field_texts(inner_part)
                )
        else:
            yield name, text_of(value)
