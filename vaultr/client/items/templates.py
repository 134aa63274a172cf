"""Templates: replace each ``{{ vaultr://vault/item/field }}`` in a text with its value."""

import re
from collections.abc import Callable
from typing import Final

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.references import SCHEME, Reference

# In braces, a reference may contain spaces. Without braces, it has the characters of a URL (RFC
# 3986, section 2) and letters of any script. It does not end with a punctuation mark, which more
# likely ends the sentence around it.
_ENCLOSED: Final = re.compile(r"\{\{[ \t]*(vaultr://[^{}\n]*?)[ \t]*\}\}")
_BARE: Final = re.compile(r"vaultr://[\w.~%/@:?=&+-]*[\w~%/=&+-]")
_EITHER: Final = re.compile(f"{_ENCLOSED.pattern}|({_BARE.pattern})")


def filled(template: str, value: Callable[[Reference], str]) -> str:
    """Return ``template`` with every reference replaced by its value.

    Values are inserted unchanged; references in them are not replaced.

    :raises UsageError: a reference is invalid; the message has its line.
    """
    references = {found[0]: _parsed(found, template) for found in _EITHER.finditer(template)}
    values = {text: _value(reference, value) for text, reference in references.items()}
    return _EITHER.sub(lambda found: values[found[0]], template)


def _parsed(found: re.Match[str], template: str) -> tuple[int, Reference]:
    line = template.count("\n", 0, found.start()) + 1
    try:
        return line, Reference.parse(found[1] or found[2])
    except UsageError as error:
        raise UsageError(f"line {line}: {error}") from None


def _value(place: tuple[int, Reference], value: Callable[[Reference], str]) -> str:
    line, reference = place
    try:
        return value(reference)
    except VaultrError as error:
        error.add_note(f"The reference is in line {line} of the template. Nothing was written.")
        raise


def holds_references(text: str) -> bool:
    """Check whether a text has a reference."""
    return SCHEME in text
