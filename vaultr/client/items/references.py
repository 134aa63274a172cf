"""Secret references: ``vaultr://vault/item/field`` names one value."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote_to_bytes

from vaultr.client.errors import UsageError, VaultrError
from vaultr.client.items.fields import text_of, value_of
from vaultr.client.items.otp import code_of

if TYPE_CHECKING:
    from vaultr.client.vaults.reader import Item

SCHEME: Final = "vaultr://"
_AS_CODE: Final = "?as=code"
# RFC 3986, section 2.1: a percent sign is followed by two hexadecimal digits.
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

# Returns an item by vault and by id or title, with its detail.
Find = Callable[[str, str], "Item"]


@dataclass(frozen=True, slots=True)
class Reference:
    """The place of one value.

    :ivar vault: an id or a unique name.
    :ivar item: an id or a unique title.
    :ivar field: a name as for ``show --field``; None for the whole item.
    :ivar as_code: whether to return the current one-time code instead of its secret.
    """

    vault: str
    item: str
    field: str | None = None
    as_code: bool = False

    @classmethod
    def parse(cls, text: str, *, whole: bool = False) -> "Reference":
        """Parse ``vaultr://vault/item/field``, or ``vaultr://vault/item`` if ``whole``.

        In names, ``/``, ``?`` and ``%`` are written as ``%2F``, ``%3F`` and ``%25``; spaces need no
        encoding.

        :raises UsageError: the text is not a reference; the message says why.
        """
        if not text.startswith(SCHEME):
            raise UsageError(f"A reference has the form {SCHEME}VAULT/ITEM/FIELD.")
        rest = text.removeprefix(SCHEME)
        as_code = rest.endswith(_AS_CODE)
        rest = rest.removesuffix(_AS_CODE)
        if "?" in rest:
            raise UsageError(f"{_shown(text)}: only as=code may follow a ?; in a name, write %3F.")
        parts = [_decoded(part, text) for part in rest.split("/")]
        wanted = 2 if whole else 3
        if len(parts) != wanted or not all(parts):
            form = "VAULT/ITEM" if whole else "VAULT/ITEM/FIELD"
            raise UsageError(
                f"{_shown(text)} does not have the form {SCHEME}{form}. In a name, write %2F for /."
            )
        if as_code and whole:
            raise UsageError(f"{_shown(text)}: as=code needs a field.")
        return cls(parts[0], parts[1], None if whole else parts[2], as_code)

    def __str__(self) -> str:
        parts = [self.vault, self.item, *([] if self.field is None else [self.field])]
        return (
            SCHEME
            + "/".join(quote(part, safe=" @:") for part in parts)
            + (_AS_CODE if self.as_code else "")
        )


def is_reference(text: str) -> bool:
    """Check whether a value looks like a reference, valid or not."""
    return text.startswith(SCHEME)


class Resolver:
    """Reads the values of references; opens each item only once.

    :param find: finds an active item.
    """

    def __init__(self, find: Find) -> None:
        self._find = find
        self._found: dict[tuple[str, str], Item] = {}

    def value(self, reference: Reference) -> str:
        """Return the text that a reference names.

        :raises ItemNotFound, VaultNotFound, Ambiguous: from the search.
        :raises VaultrError: the item has no such field, or it is not text.
        """
        item = self.item(reference)
        try:
            value = value_of(item, reference.field or "")
        except VaultrError as error:
            error.add_note(f"The reference is {reference}.")
            raise
        if isinstance(value, dict) or (isinstance(value, list) and any(map(_is_nested, value))):
            raise VaultrError(f"{reference} is a group of fields: name one of them.")
        text = text_of(value)
        return code_of(text) if reference.as_code else text

    def item(self, reference: Reference) -> "Item":
        """Return the item that a reference names, with its detail."""
        key = reference.vault, reference.item
        if key not in self._found:
            try:
                self._found[key] = self._find(*key)
            except VaultrError as error:
                error.add_note(f"The reference is {reference}.")
                raise
        return self._found[key]


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list)


def _decoded(part: str, whole: str) -> str:
    if _BAD_PERCENT.search(part):
        raise UsageError(f"{_shown(whole)}: write a % in a name as %25.")
    try:
        name = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{_shown(whole)}: characters written as %XX must be UTF-8.") from None
    if _CONTROL.search(name):
        raise UsageError(f"{_shown(whole)}: a name cannot contain control characters.")
    return name


def _shown(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
