"""A quick check that a password is strong, because zxcvbn takes milliseconds."""

import re
from functools import cache
from typing import Final

from vaultr.client.account.password_policy import EDGE_CHARACTERS, LEAST_DIFFERENT, is_run

_LEAST_CHARACTERS: Final = 12
_MOST_CHARACTERS: Final = 72
# Letters that zxcvbn treats as the same, in one class: 1 may be i or l, 7 may be l or t.
_CLASSES: Final = str.maketrans("4@8({[<3691!|7+lt0$5%2", "aabcccceggiiiiiiiossxz")
_SHORTEST_WORD: Final = 6
_NEAR: Final = 5  # zxcvbn's MAX_DELTA between the characters of a sequence


def is_surely_strong(password: str) -> bool:
    """Check, in a fraction of the time, whether zxcvbn would give a score of at least 3 of 4.

    False means that zxcvbn must decide. zxcvbn splits a password into parts, and multiplies the
    guesses for each. Three parts need at least 10^8 guesses, which is a score of 3; so does a
    random part of seven characters with another part. So a score below 3 requires a word or a
    pattern that covers at least half of a password of twelve or more characters.
    """
    if not password.isascii() or not _LEAST_CHARACTERS <= len(password) <= _MOST_CHARACTERS:
        return False
    size = (len(password) + 1) // 2
    if len(set(password.casefold())) < LEAST_DIFFERENT or is_run(password):
        return False
    # A common password surrounded by digits is weak, however many digits there are.
    if len(password.strip(EDGE_CHARACTERS)) < size:
        return False
    return not (
        _has_dates(password, size)
        or _has_run(password, size)
        or _has_repetition(password, size)
        or _has_word(password, size)
    )


def _has_dates(password: str, size: int) -> bool:
    return re.search(rf"[\d\s/\\_.-]{{{size}}}", password) is not None


def _has_run(password: str, size: int) -> bool:
    """Check for a run of adjacent keys or characters."""
    neighbours, length, before = _neighbours(), 1, ""
    for each in password:
        near = before and (abs(ord(each) - ord(before)) <= _NEAR or (before, each) in neighbours)
        length = length + 1 if near else 1
        if length >= size:
            return True
        before = each
    return False


def _has_repetition(password: str, size: int) -> bool:
    """Check for a text that is repeated without a gap, ``size`` characters in total."""
    for period in range(1, len(password) // 2 + 1):
        same = 0
        for before, after in zip(password, password[period:], strict=False):
            same = same + 1 if before == after else 0
            if same >= period and same + period >= size:
                return True
    return False


def _has_word(password: str, size: int) -> bool:
    """Check for a word in zxcvbn's lists, also reversed or with digits for letters."""
    known, longest = _words()
    text = password.lower().translate(_CLASSES)
    for way in (text, text[::-1]):
        for start in range(len(way) - size + 1):
            for end in range(start + size, min(len(way), start + longest) + 1):
                if way[start:end] in known:
                    return True
    return False


@cache
def _words() -> tuple[frozenset[str], int]:
    """Return all words of at least six letters, in letter classes, and the longest one."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415 - late, only health needs it

    words = (word for each in FREQUENCY_LISTS.values() for word in each)
    known = {word.translate(_CLASSES) for word in words if len(word) >= _SHORTEST_WORD}
    known.add("vaultr".translate(_CLASSES))
    return frozenset(known), max(map(len, known))


@cache
def _neighbours() -> frozenset[tuple[str, str]]:
    """Return the pairs of characters whose keys are adjacent on a keyboard."""
    from zxcvbn.adjacency_graphs import ADJACENCY_GRAPHS  # noqa: PLC0415 - late, only health needs it

    return frozenset(
        (key, character)
        for graph in ADJACENCY_GRAPHS.values()
        for key, near in graph.items()
        for keys in near
        for character in keys or ""
    )
