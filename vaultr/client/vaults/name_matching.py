"""Finds items and vaults by name: by the exact name, else by the only one that differs in case.

A wrong match could change the wrong item: an exact name always wins, and if several names differ
only in case, none of them is chosen.
"""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeVar
from uuid import UUID

from vaultr.client.errors import VaultrError

_Thing = TypeVar("_Thing")
_NEAR_MOST: Final = 3
_NEAR_LETTERS: Final = 60
_PART_LETTERS: Final = 3  # shorter parts of a name match too many names
_LISTED_MOST: Final = 5
_ID_LETTERS: Final = 36


class Ambiguous(VaultrError):
    """A title or name matches more than one item or vault; use the id."""

    exit_code = 1


def as_id(ref: str) -> UUID | None:
    """Return ``ref`` as an id, or None if it is a name."""
    try:
        return UUID(ref) if len(ref) == _ID_LETTERS else None
    except ValueError:
        return None


def meant(
    wanted: str, named: Iterable[tuple[str, _Thing]], *, exactly: bool = False
) -> list[_Thing]:
    """Return what has the name ``wanted``, or else what has it in different case.

    :param exactly: return only exact matches.
    """
    pairs = list(named)
    exact = [thing for name, thing in pairs if name == wanted]
    if exact or exactly:
        return exact
    plain = as_compared(wanted)
    return [thing for name, thing in pairs if name and as_compared(name) == plain]


def near(wanted: str, names: Iterable[str]) -> str:
    """Return a hint with similar names, as `` Similar: GitHub, GitLab.``, or an empty text."""
    # The import takes milliseconds and is needed only after a typing error.
    import difflib  # noqa: PLC0415 - late, see above

    plain = {as_compared(name): name for name in names if name}
    sought = as_compared(wanted)
    parts = [each for each in plain if len(sought) >= _PART_LETTERS and sought in each]
    close = difflib.get_close_matches(sought, plain, n=_NEAR_MOST)
    chosen = list(dict.fromkeys([*sorted(parts, key=len)[:_NEAR_MOST], *close]))[:_NEAR_MOST]
    if not chosen:
        return ""
    return f" Similar: {', '.join(on_one_line(plain[each]) for each in chosen)}."


def which(what: str, choices: Collection[Sequence[str]], *, advice: str) -> Ambiguous:
    """Return the error for an ambiguous name, which lists some of the matches.

    :param what: for example ``2 items are called Mail``.
    :param choices: the id of each match, then texts that people recognise it by.
    """
    listed = [list(map(on_one_line, each)) for each in choices][:_LISTED_MOST]
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    rows = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in listed
    )
    more = len(choices) - len(listed)
    rest = [f"and {more} more"] if more else []
    return Ambiguous("\n".join([f"{on_one_line(what)}: {advice}.", *rows, *rest]))


def listed(names: Sequence[str]) -> str:
    """Return names for use within a sentence: the first of them, and how many more there are."""
    more = len(names) - _LISTED_MOST
    shown = [on_one_line(each) for each in names[:_LISTED_MOST]]
    return ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def on_one_line(text: str) -> str:
    """Return a name for use within a sentence: on one line, and shortened."""
    text = " ".join(text.split())
    return text if len(text) <= _NEAR_LETTERS else f"{text[: _NEAR_LETTERS - 1]}…"


def as_compared(name: str) -> str:
    """Return a name in the form in which names that differ in case are equal."""
    # macOS writes é as two characters, other systems as one.
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
