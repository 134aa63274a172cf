"""Find items and vaults by name: an exact match, or else a unique match that differs in case.

A wrong match could change the wrong item. So an exact name always takes precedence, and if several
names differ only in case, none of them matches.
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
    """Return the match for the name ``wanted``, or else the one that differs in case.

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
    :param choices: the id of each match, then texts by which people recognise it.
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
    """Return names for use in a sentence: the first few, and the number of others."""
    more = len(names) - _LISTED_MOST
    shown = [on_one_line(each) for each in names[:_LISTED_MOST]]
    return ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])


def on_one_line(text: str) -> str:
    """Return a name for use in a sentence: shortened, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= _NEAR_LETTERS else f"{text[: _NEAR_LETTERS - 1]}…"


def as_compared(name: str) -> str:
    """Return a name in the form for comparisons that ignore case."""
    # macOS writes é as two characters, other systems as one.
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
