"""Rules for master passwords: long, hard to guess, and without the email address."""

import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from vaultr.client.errors import VaultrError

LEAST_CHARACTERS: Final = 15
LEAST_WORDS: Final = 5
PASSWORD_RULE: Final = f"at least {LEAST_CHARACTERS} characters or {LEAST_WORDS} different words"
# zxcvbn's highest score: more than 10^10 guesses. Argon2id makes each guess expensive as well.
_LEAST_SCORE: Final = 4
LEAST_DIFFERENT: Final = 5
# zxcvbn compares parts of all lengths, so its time grows quickly; it rejects longer inputs.
_MEASURED_CHARACTERS: Final = 72
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
EDGE_CHARACTERS: Final = "0123456789!@#$%^&*()-_=+.,?/ "
_SUGGESTION: Final = "Add some words that do not belong together, or run vaultr generate --words 6."


class WeakPassword(VaultrError):
    """This master password is too easy to guess; choose another one."""


@dataclass(frozen=True, slots=True)
class PasswordStrength:
    """How hard a password is to guess.

    :ivar score: 0 to 4; only 4 is enough for a master password.
    :ivar reason: why the password is weak; empty if there is no particular reason.
    :ivar suggestion: what to do about it; empty if the password is strong.
    """

    score: int
    reason: str
    suggestion: str


def check_password(password: str, email: str) -> None:
    """Reject a master password that is short, easy to guess, or contains the email address.

    Breached passwords need a separate check, because only the server has their list.

    :raises WeakPassword: the message names the rule, never the password.

    Source: NIST SP 800-63B-4 section 3.1.1.2 (15 characters, a blocklist, no composition rules).
    """
    text = unicodedata.normalize("NFKC", password)
    words = {word.casefold() for word in _WORD.findall(text)}
    if len(text) < LEAST_CHARACTERS and len(words) < LEAST_WORDS:
        raise WeakPassword(f"The master password needs {PASSWORD_RULE}.")
    address = unicodedata.normalize("NFKC", email).strip().casefold()
    if address and address in text.casefold():
        raise WeakPassword("The master password contains your email address.")
    strength = password_strength(text, address)
    if strength.score < _LEAST_SCORE:
        reason = f" {strength.reason}" if strength.reason else ""
        raise WeakPassword(
            f"This master password is too easy to guess.{reason} {strength.suggestion}"
        )


def password_strength(password: str, email: str = "") -> PasswordStrength:
    """Return how hard a password is to guess, with a reason and a suggestion if it is weak."""
    text = unicodedata.normalize("NFKC", password)
    personal = [part for part in (email, *re.split(r"[@.+_-]", email), "vaultr") if part]
    measured = _measure(text, personal)
    feedback, score = measured["feedback"], int(measured["score"])
    reason, suggestions = str(feedback["warning"]), [*map(str, feedback["suggestions"])]
    if len(set(text.casefold())) < LEAST_DIFFERENT:
        score, reason = 0, "It has fewer than 5 different characters."
    elif is_run(text):
        score, reason = 0, "It is a run of neighbouring characters."
    elif _is_common(core := text.strip(EDGE_CHARACTERS), personal):
        score = min(score, 1)
        reason = "It is a common password" + ("." if core == text else " with digits around it.")
    if score >= _LEAST_SCORE:
        return PasswordStrength(score, "", "")
    return PasswordStrength(score, reason, " ".join(suggestions) or _SUGGESTION)


def _is_common(core: str, personal: list[str]) -> bool:
    """Check whether the whole text is one common password, word, name, sequence or repetition."""
    if not core:
        return False
    parts = _measure(core, personal)["sequence"]
    return len(parts) == 1 and parts[0]["pattern"] != "bruteforce"


def is_run(text: str) -> bool:
    """Check whether most characters are adjacent to the previous one, as in ``112233445566``."""
    near = [abs(ord(after) - ord(before)) <= 1 for before, after in itertools.pairwise(text)]
    return sum(near) >= 0.8 * len(near)


def _measure(text: str, personal: list[str]) -> dict[str, Any]:
    # Importing its word lists takes 0.2 s, and only signup and password changes need them.
    from zxcvbn import zxcvbn  # noqa: PLC0415 - late, see above

    result: dict[str, Any] = zxcvbn(text[:_MEASURED_CHARACTERS], user_inputs=personal)
    return result
