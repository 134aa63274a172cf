"""Draws passwords and passphrases, each that fits the wish with the same chance."""

import math
import secrets
import string
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from vaultr.client.errors import UsageError

LENGTHS: Final = range(4, 1025)
WORDS: Final = range(3, 33)
SYMBOLS: Final = "!#$%&*+-./:;<=>?@^_~"
# Letters and digits that are taken for each other when they are read aloud or copied by hand.
_ALIKE: Final = frozenset("0O1lI|5S2Z8B")
_WORDS_FILE: Final = "words.txt"


@dataclass(frozen=True, slots=True)
class PasswordRule:
    """What a password is made of. Of each kind that is wanted at least one is in it.

    :ivar symbols: the symbols that may stand in it; empty for none.
    """

    length: int = 20
    lower: bool = True
    upper: bool = True
    digits: bool = True
    symbols: str = SYMBOLS
    unlike: bool = False

    def kinds(self) -> list[str]:
        """Give the characters of each kind that is wanted.

        :raises UsageError: no password fits this rule.
        """
        wanted = [
            string.ascii_lowercase if self.lower else "",
            string.ascii_uppercase if self.upper else "",
            string.digits if self.digits else "",
            "".join(dict.fromkeys(self.symbols)),
        ]
        if self.unlike:
            wanted = ["".join(each for each in kind if each not in _ALIKE) for kind in wanted]
        kinds = [kind for kind in wanted if kind]
        if any(not each.isprintable() or each.isspace() or each.isalnum() for each in self.symbols):
            raise UsageError("Symbols are printable characters that are no letters and no digits.")
        if not kinds:
            raise UsageError("Nothing is left that a password could be made of.")
        if self.length not in LENGTHS:
            raise UsageError(f"A password has {LENGTHS[0]} to {LENGTHS[-1]} characters.")
        return kinds


def password(rule: PasswordRule) -> str:
    """Draw a password.

    Whole passwords are drawn until one has a character of each kind: so all that fit are equally
    likely, which is not so when one place is kept for each kind.
    """
    kinds = rule.kinds()
    letters = "".join(kinds)
    while True:
        drawn = "".join(secrets.choice(letters) for _ in range(rule.length))
        if all(any(each in kind for each in drawn) for kind in kinds):
            return drawn


def password_bits(rule: PasswordRule) -> float:
    """Tell how many bits a guesser who knows the rule has to try: log2 of all that fit."""
    sizes = [len(kind) for kind in rule.kinds()]
    # Inclusion and exclusion: all, less those that lack a kind, plus those that lack two, …
    fitting = 0
    for left_out in range(1 << len(sizes)):
        lacking = [size for place, size in enumerate(sizes) if left_out >> place & 1]
        rest = sum(sizes) - sum(lacking)
        fitting += (-1) ** len(lacking) * rest**rule.length
    return math.log2(fitting)


@dataclass(frozen=True, slots=True)
class PhraseRule:
    """What a passphrase is made of.

    :ivar number: whether one of its words is followed by a digit.
    """

    words: int = 6
    separator: str = "-"
    capitals: bool = False
    number: bool = False

    def checked(self) -> "PhraseRule":
        """Refuse what cannot be.

        :raises UsageError: too few or too many words, or an odd separator.
        """
        if self.words not in WORDS:
            raise UsageError(f"A passphrase has {WORDS[0]} to {WORDS[-1]} words.")
        if not self.separator.isprintable() or len(self.separator) > 8:
            raise UsageError("A separator has up to 8 printable characters.")
        if any(each.isalnum() for each in self.separator) or (
            not self.separator and not self.capitals
        ):
            # Where words run into each other, two drawings may give one phrase.
            raise UsageError("A separator holds no letter or digit; empty, it needs --capitals.")
        return self


def passphrase(rule: PhraseRule) -> str:
    """Draw a passphrase: each word independently, from a list of 7,772."""
    rule = rule.checked()
    words = [secrets.choice(word_list()) for _ in range(rule.words)]
    if rule.capitals:
        words = [word.capitalize() for word in words]
    if rule.number:
        place = secrets.randbelow(len(words))
        words[place] += str(secrets.randbelow(10))
    return rule.separator.join(words)


def phrase_bits(rule: PhraseRule) -> float:
    """Tell how many bits a guesser who knows the rule has to try."""
    rule = rule.checked()
    extra = math.log2(10 * rule.words) if rule.number else 0.0
    return rule.words * math.log2(len(word_list())) + extra


@cache
def word_list() -> tuple[str, ...]:
    """Give the words that passphrases are made of."""
    lines = Path(__file__).with_name(_WORDS_FILE).read_text("ascii").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
