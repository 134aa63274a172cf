"""What a master password must be like: long, not common, and not the owner's mail address."""

import itertools
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

from vaultr.client.errors import VaultrError

LEAST_CHARACTERS: Final = 15
LEAST_WORDS: Final = 5
PASSWORD_RULE: Final = f"at least {LEAST_CHARACTERS} characters or {LEAST_WORDS} different words"
# A pattern that repeats something shorter than this is one short password, typed again.
_LEAST_UNIT: Final = 8
_LEAST_DIFFERENT: Final = 5
_WORD: Final = re.compile(r"[^\W\d_]{2,}")


class WeakPassword(VaultrError):
    """This master password is too easy to guess; choose another one."""

    exit_code = 1


def check_password(password: str, email: str) -> None:
    """Refuse a master password that is short, common, or has the mail address in it.

    Whether it was breached is another question, which only the server's list can answer.

    :raises WeakPassword: says which rule it breaks, never the password.

    Source: NIST SP 800-63B-4 section 3.1.1.2 (15 characters, a blocklist, no rules of composition).
    """
    text = unicodedata.normalize("NFKC", password)
    words = {word.casefold() for word in _WORD.findall(text)}
    if len(text) < LEAST_CHARACTERS and len(words) < LEAST_WORDS:
        raise WeakPassword(f"The master password needs {PASSWORD_RULE}.")
    address = unicodedata.normalize("NFKC", email).strip().casefold()
    if address and address in text.casefold():
        raise WeakPassword("The master password contains the mail address.")
    if is_common(text):
        raise WeakPassword("The master password is on the list of common ones, or nearly so.")


def is_common(password: str) -> bool:
    """Tell whether a password is on the list, or is made from one of it as people do.

    That is: twice, with digits around it, two of them together, a run of neighbours as
    ``123456789``, or hardly any different characters.
    """
    text = "".join(unicodedata.normalize("NFKC", password).casefold().split())
    core = text.strip("0123456789!@#$%^&*()-_=+.,?/ ")
    unit = _unit(text)
    return (
        len(set(text)) < _LEAST_DIFFERENT
        or _is_run(text)
        or (len(unit) < len(text) and len(unit) < _LEAST_UNIT)
        or any(_listed(each) for each in (text, core, unit))
        or any(_listed(text[:cut]) and _listed(text[cut:]) for cut in range(4, len(text) - 3))
    )


def _unit(text: str) -> str:
    """Find the shortest text of which ``text`` is a repetition."""
    return text[: (text + text).find(text, 1)]


def _is_run(text: str) -> bool:
    near = [abs(ord(after) - ord(before)) <= 1 for before, after in itertools.pairwise(text)]
    return sum(near) >= 0.8 * len(near)


def _listed(text: str) -> bool:
    return text in _common()


@cache
def _common() -> frozenset[str]:
    # The 10,000 most frequent of four and more characters, and the long ones of the next 20,000.
    # Source: the frequency list of zxcvbn 4.5.0 (MIT), drawn from published leaks.
    listed = Path(__file__).with_name("common-passwords.txt")
    return frozenset(listed.read_text("ascii").split())
