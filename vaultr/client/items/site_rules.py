"""Parse a site's password rule, such as 'length 12-20; upper; digit; symbols !#$'."""

import re
from typing import Final

from vaultr.client.errors import UsageError
from vaultr.client.items.generator import SYMBOLS, PasswordRule

_LENGTH: Final = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_KINDS: Final = ("lower", "upper", "digit", "symbols")
_USUAL_CHARACTERS: Final = 20
_RULE_CHARACTERS: Final = 200
_HELP: Final = "A rule looks like 'length 12-20; upper; digit; symbols !#$'."


def parse(text: str) -> PasswordRule:
    """Return the rule for the longest password that the site accepts, up to 64 characters.

    Every password has the kinds that the rule names; if it names none, all four.

    :raises UsageError: a part is unknown; the message says which.
    """
    if len(text) > _RULE_CHARACTERS:
        raise UsageError(f"A rule has at most {_RULE_CHARACTERS} characters.")
    kinds: dict[str, str] = {}
    length = _USUAL_CHARACTERS
    for part in (each.strip() for each in text.split(";")):
        name, _, value = part.partition(" ")
        if name == "length":
            length = _length(value.strip())
        elif name in _KINDS and (name == "symbols" or not value):
            kinds[name] = value.strip()
        elif part:
            raise UsageError(f"The rule has an unknown part: {part[:40]}. {_HELP}")
    every = not kinds
    rule = PasswordRule(
        length=length,
        lower=every or "lower" in kinds,
        upper=every or "upper" in kinds,
        digits=every or "digit" in kinds,
        symbols=SYMBOLS if every else kinds.get("symbols") or _symbols(kinds),
    )
    rule.kinds()  # raises an error if no password matches
    return rule


def _symbols(kinds: dict[str, str]) -> str:
    return SYMBOLS if "symbols" in kinds else ""


def _length(text: str) -> int:
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise UsageError(f"The length in the rule is not N or N-M. {_HELP}")
    least, most = int(found[1]), int(found[2] or found[1])
    if most < least:
        raise UsageError(f"The length in the rule is not N or N-M. {_HELP}")
    return max(least, min(most, 64))
