"""Puts secrets into a text: each ``{{ vaultr://vault/item/field }}`` gives way to its value."""

import re
from collections.abc import Callable
from typing import Final

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.references import SCHEME, Reference

# Enclosed, a reference runs to the braces, spaces and all. Bare, it is what an address can hold
# (RFC 3986, section 2) and letters of any script, and does not end in a mark that rather ends the
# sentence around it.
_ENCLOSED: Final = re.compile(r"\{\{[ \t]*(vaultr://[^{}\n]*?)[ \t]*\}\}")
_BARE: Final = re.compile(r"vaultr://[\w.~%/@:?=&+-]*[\w~%/=&+-]")
_EITHER: Final = re.compile(f"{_ENCLOSED.pattern}|({_BARE.pattern})")


def filled(template: str, value: Callable[[Reference], str]) -> str:
    """Give ``template`` with a value in the place of each reference; all, or an error.

    Values are put in as they are and not looked through again, whatever is in them.

    :raises UsageError: a reference is none; names its line.
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
        error.add_note(f"It stands in line {line} of the template. Nothing was written.")
        raise


def holds_references(text: str) -> bool:
    """Tell whether there is anything to put in."""
    return SCHEME in text
