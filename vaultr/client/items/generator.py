"""Generate passwords and passphrases; all that match a rule are equally likely."""

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
# Letters and digits that are easily confused when they are read aloud or copied by hand.
_ALIKE: Final = frozenset("0O1lI|5S2Z8B")
_WORDS_FILE: Final = "words.txt"


@dataclass(frozen=True, slots=True)
class PasswordRule:
    """The characters of a password, with at least one of each kind.

    :ivar symbols: the allowed symbols; empty for none.
    :ivar unlike: whether to leave out characters that look alike.
    """

    length: int = 20
    lower: bool = True
    upper: bool = True
    digits: bool = True
    symbols: str = SYMBOLS
    unlike: bool = False

    def kinds(self) -> list[str]:
        """Return the characters of each kind.

        :raises UsageError: no password matches this rule.
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
            raise UsageError("Symbols must be printable characters other than letters and digits.")
        if not kinds:
            raise UsageError("No characters are left for the password: allow at least one kind.")
        if self.length not in LENGTHS:
            raise UsageError(f"A password must have {LENGTHS[0]} to {LENGTHS[-1]} characters.")
        return kinds


def password(rule: PasswordRule) -> str:
    """Return a random password.

    Whole passwords are generated until one has a character of each kind, so all matching passwords
    are equally likely. Reserving a position for each kind would make some more likely than others.
    """
    kinds = rule.kinds()
    letters = "".join(kinds)
    while True:
        drawn = "".join(secrets.choice(letters) for _ in range(rule.length))
        if all(any(each in kind for each in drawn) for kind in kinds):
            return drawn


def password_bits(rule: PasswordRule) -> float:
    """Return the entropy in bits: log2 of the number of passwords that match the rule."""
    sizes = [len(kind) for kind in rule.kinds()]
    # Inclusion and exclusion: all, minus those without one kind, plus those without two, …
    matching = 0
    for left_out in range(1 << len(sizes)):
        missing = [size for place, size in enumerate(sizes) if left_out >> place & 1]
        rest = sum(sizes) - sum(missing)
        matching += (-1) ** len(missing) * rest**rule.length
    return math.log2(matching)


@dataclass(frozen=True, slots=True)
class PhraseRule:
    """The form of a passphrase.

    :ivar number: whether a digit follows one of its words.
    """

    words: int = 6
    separator: str = "-"
    capitals: bool = False
    number: bool = False

    def checked(self) -> "PhraseRule":
        """Return this rule if it is valid.

        :raises UsageError: too few or too many words, or an invalid separator.
        """
        if self.words not in WORDS:
            raise UsageError(f"A passphrase must have {WORDS[0]} to {WORDS[-1]} words.")
        if not self.separator.isprintable() or len(self.separator) > 8:
            raise UsageError("A separator must have at most 8 printable characters.")
        if any(each.isalnum() for each in self.separator) or (
            not self.separator and not self.capitals
        ):
            # Without a separator, different words could form the same phrase.
            raise UsageError(
                "A separator must not have letters or digits. For none, use --capitals, too."
            )
        return self


def passphrase(rule: PhraseRule) -> str:
    """Return a random passphrase, with words from a list of 7,772."""
    rule = rule.checked()
    words = [secrets.choice(word_list()) for _ in range(rule.words)]
    if rule.capitals:
        words = [word.capitalize() for word in words]
    if rule.number:
        index = secrets.randbelow(len(words))
        words[index] += str(secrets.randbelow(10))
    return rule.separator.join(words)


def phrase_bits(rule: PhraseRule) -> float:
    """Return the entropy in bits."""
    rule = rule.checked()
    extra = math.log2(10 * rule.words) if rule.number else 0.0
    return rule.words * math.log2(len(word_list())) + extra


@cache
def word_list() -> tuple[str, ...]:
    """Return the word list for passphrases."""
    lines = Path(__file__).with_name(_WORDS_FILE).read_text("ascii").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))
