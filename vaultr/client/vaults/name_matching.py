"""Finds what people mean by a name: what is called just so, else the one thing called alike.

Names come from the owner's devices alone, yet a second thing must never take the place of the one
that is meant: an exact name wins, and of several that differ in case none is chosen.
"""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeVar
from uuid import UUID

from vaultr.client.errors import VaultrError

_Thing = TypeVar("_Thing")
_NEAR_MOST: Final = 3
_NEAR_LETTERS: Final = 60
_PART_LETTERS: Final = 3  # from here on a part of a name tells it from others
_LISTED_MOST: Final = 5
_ID_LETTERS: Final = 36


class Ambiguous(VaultrError):
    """A title or name stands for more than one thing; use the id."""

    exit_code = 1


def as_id(ref: str) -> UUID | None:
    """Read an id as people write it; None where it is none, and so a name."""
    try:
        return UUID(ref) if len(ref) == _ID_LETTERS else None
    except ValueError:
        return None


def meant(
    wanted: str, named: Iterable[tuple[str, _Thing]], *, exactly: bool = False
) -> list[_Thing]:
    """Give what is called ``wanted``; only where nothing is, what is called so but for case.

    :param exactly: never the latter.
    """
    pairs = list(named)
    exact = [thing for name, thing in pairs if name == wanted]
    if exact or exactly:
        return exact
    plain = _plain(wanted)
    return [thing for name, thing in pairs if name and _plain(name) == plain]


def near(wanted: str, names: Iterable[str]) -> str:
    """Write which names are near, as `` Near: GitHub, GitLab.``; empty where none is."""
    # It takes milliseconds to import, and only those who mistyped need it.
    import difflib  # noqa: PLC0415 - late, see above

    plain = {_plain(name): name for name in names if name}
    sought = _plain(wanted)
    parts = [each for each in plain if len(sought) >= _PART_LETTERS and sought in each]
    close = difflib.get_close_matches(sought, plain, n=_NEAR_MOST)
    chosen = list(dict.fromkeys([*sorted(parts, key=len)[:_NEAR_MOST], *close]))[:_NEAR_MOST]
    if not chosen:
        return ""
    return f" Near: {', '.join(on_one_line(plain[each]) for each in chosen)}."


def which(what: str, choices: Collection[Sequence[str]], *, advice: str) -> Ambiguous:
    """Say that several things are meant, and list some of them.

    :param what: as ``2 items are called Mail``.
    :param choices: of each its id, and what people know it by.
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


def on_one_line(text: str) -> str:
    """Show a name within a sentence: on one line, and not too long."""
    text = " ".join(text.split())
    return text if len(text) <= _NEAR_LETTERS else f"{text[: _NEAR_LETTERS - 1]}…"


def _plain(name: str) -> str:
    # Macs write an é as two characters, others as one.
    return name.casefold() if name.isascii() else unicodedata.normalize("NFC", name).casefold()
