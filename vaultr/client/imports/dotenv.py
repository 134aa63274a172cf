"""Read a dotenv file as one environment set, and reject ambiguous lines."""

import re
from collections.abc import Iterator
from typing import Final

from vaultr.client.imports.file_format import text_of
from vaultr.client.imports.problems import ImportProblems, Problem, reject
from vaultr.client.imports.reading import ImportFile, Reading, Report
from vaultr.client.items.schemas import Draft, ItemInvalid, check

_BLANK: Final = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?:\n|\Z)")
_NAME: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_COMMENT: Final = re.compile(r"[ \t]#.*")
_QUOTE: Final = re.compile(r"[ \t]*(?=['\"])")
_SINGLE: Final = re.compile(r"'([^']*)'")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\[\s\S])*)"')
_WORD: Final = re.compile(r"(?:\\[\s\S]|[^\s'\"\\])+")
_ESCAPE: Final = re.compile(r"\\([\s\S])")
# Before any other character the backslash stays, as in sh. Before a newline it joins two lines.
_MEANINGS: Final = dict(zip('nrt\\"$`\n', ["\n", "\r", "\t", "\\", '"', "$", "`", ""], strict=True))


class _Odd(Exception):
    """A line cannot be parsed; the message says why, without values."""


class _Unclosed(_Odd):
    """A quote is never closed, so the start of the next line is unknown."""


def read(data: bytes, *, title: str) -> list[Draft]:
    """Read ``NAME=value`` lines as one draft of an ``env_set`` called ``title``.

    Values are read as sh reads them, but ``$NAME`` and ``${NAME}`` are not expanded: a secret may
    contain a dollar sign. In double quotes ``\\n``, ``\\r`` and ``\\t`` are control characters, as
    in other readers of dotenv. Quoted values may span lines.

    :raises ImportProblems: lists every invalid line, such as one that sets a name again.
    """
    text = text_of(data)
    if text.count("\r\n") == text.count("\n"):
        text = text.replace("\r\n", "\n")
    variables: dict[str, str] = {}
    first_line: dict[str, int] = {}
    problems: list[Problem] = []
    for line, found in _assignments(text):
        if isinstance(found, _Odd):
            problems.append(Problem(f"line {line}", str(found)))
            continue
        name, value = found
        if name in variables:
            message = f"{name} was already set in line {first_line[name]}"
            problems.append(Problem(f"line {line}", message))
        elif "\0" in value:
            problems.append(Problem(f"line {line}", f"{name} contains NUL, which is not possible"))
        variables.setdefault(name, value)
        first_line.setdefault(name, line)
    if problems:
        raise ImportProblems(problems)
    if not variables:
        reject("This file has no NAME=value lines.")
    return [_draft(title, variables)]


def read_file(file: ImportFile) -> Reading:
    """Read a dotenv file as one environment set with the file's title."""
    drafts, report = read(file.data, title=file.title), Report()
    report.kinds["dotenv file", "env_set"] += 1
    count = len(drafts[0].detail["variables"])
    report.fields["dotenv file", "NAME=value", "variables"] += count
    return Reading(drafts, report)


def _draft(title: str, variables: dict[str, str]) -> Draft:
    draft = Draft("env_set", {"title": title}, {"variables": variables})
    try:
        check(draft.type, draft.overview, draft.detail)
    except ItemInvalid as error:
        raise ImportProblems([Problem("", f"{at} {what}") for at, what in error.faults]) from None
    return draft


def _assignments(text: str) -> Iterator[tuple[int, tuple[str, str] | _Odd]]:
    """Yield the assignments of the file, or an error for a line that cannot be parsed."""
    position, line = 0, 1
    while position < len(text):
        begin = position
        if blank := _BLANK.match(text, position):
            position = blank.end()
        else:
            try:
                name, value, position = _assignment(text, position)
            except _Odd as odd:
                yield line, odd
                position = len(text) if isinstance(odd, _Unclosed) else _next_line(text, position)
            else:
                yield line, (name, value)
        line += text.count("\n", begin, position)


def _assignment(text: str, position: int) -> tuple[str, str, int]:
    start = _NAME.match(text, position)
    if start is None:
        raise _Odd("this is not NAME=value, where a name is letters, digits and _")
    name, position = start[1], start.end()
    quote = _QUOTE.match(text, position)
    if quote is None:
        return name, *_unquoted(text, position)
    value, position = _quoted(text, quote.end(), name)
    rest = _BLANK.match(text, position)
    if rest is None:
        raise _Odd(f"{name} has something after its closing quote")
    return name, value, rest.end()


def _unquoted(text: str, position: int) -> tuple[str, int]:
    end = _next_line(text, position)
    return _COMMENT.sub("", text[position:end].rstrip("\n"), count=1).strip(" \t\r"), end


def _quoted(text: str, position: int, name: str) -> tuple[str, int]:
    """Read adjacent parts as one value; sh joins ``'it'\''s'`` in the same way."""
    value = ""
    while position < len(text) and text[position] not in " \t\r\n":
        pattern = {"'": _SINGLE, '"': _DOUBLE}.get(text[position], _WORD)
        piece = pattern.match(text, position)
        if piece is None:
            raise _Unclosed(f"{name} opens a quote, or an escape, that is never closed")
        if pattern is _SINGLE:
            value += piece[1]
        elif pattern is _DOUBLE:
            value += _ESCAPE.sub(_meant, piece[1])
        else:
            value += _ESCAPE.sub(lambda escape: escape[1].strip("\n"), piece[0])
        position = piece.end()
    return value, position


def _meant(escape: re.Match[str]) -> str:
    return _MEANINGS.get(escape[1], escape[0])


def _next_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end + 1
