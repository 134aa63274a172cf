"""References to one secret: ``vaultr://vault/item/field``, written where a value is wanted."""

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
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f]")

# Finds an item by vault and by id or title, with its detail.
Find = Callable[[str, str], "Item"]


@dataclass(frozen=True, slots=True)
class Reference:
    """Where one value is.

    :ivar vault, item: an id, or a name or title that only one has.
    :ivar field: as ``show --field`` takes it; None where the whole item is meant.
    :ivar as_code: the one-time code that the field's secret gives now, instead of the secret.
    """

    vault: str
    item: str
    field: str | None = None
    as_code: bool = False

    @classmethod
    def parse(cls, text: str, *, whole: bool = False) -> "Reference":
        """Read ``vaultr://vault/item/field``, or ``vaultr://vault/item`` where ``whole``.

        What is in a name and would be read otherwise (``/``, ``?``, ``%``) is written as ``%2F``,
        ``%3F`` and ``%25``; a space may stand as it is.

        :raises UsageError: it is none; says what is wrong with it.
        """
        if not text.startswith(SCHEME):
            raise UsageError(f"A reference begins with {SCHEME}.")
        rest = text.removeprefix(SCHEME)
        as_code = rest.endswith(_AS_CODE)
        rest = rest.removesuffix(_AS_CODE)
        if "?" in rest:
            raise UsageError(f"{_shown(text)}: after ? only as=code can stand; in a name, say %3F.")
        parts = [_decoded(part, text) for part in rest.split("/")]
        wanted = 2 if whole else 3
        if len(parts) != wanted or not all(parts):
            form = "vault/item" if whole else "vault/item/field"
            raise UsageError(f"{_shown(text)} is not {SCHEME}{form}; a / in a name is %2F.")
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
    """Tell whether a whole value is a reference, right or wrong."""
    return text.startswith(SCHEME)


class Resolver:
    """Reads what references name; each item is opened once.

    :param find: finds an item among those that are not in the trash.
    """

    def __init__(self, find: Find) -> None:
        self._find = find
        self._found: dict[tuple[str, str], Item] = {}

    def value(self, reference: Reference) -> str:
        """Give the text that a reference names.

        :raises ItemNotFound, VaultNotFound, Ambiguous: from the search.
        :raises VaultrError: there is no such field, or it holds no text.
        """
        item = self.item(reference)
        try:
            value = value_of(item, reference.field or "")
        except VaultrError as error:
            error.add_note(f"That is what {reference} names.")
            raise
        if isinstance(value, dict) or (isinstance(value, list) and any(map(_is_nested, value))):
            raise VaultrError(f"{reference} names a group of fields: name one of them.")
        text = text_of(value)
        return code_of(text) if reference.as_code else text

    def item(self, reference: Reference) -> "Item":
        """Give the item that a reference names, with its detail."""
        place = reference.vault, reference.item
        if place not in self._found:
            try:
                self._found[place] = self._find(*place)
            except VaultrError as error:
                error.add_note(f"That is what {reference} names.")
                raise
        return self._found[place]


def _is_nested(value: object) -> bool:
    return isinstance(value, dict | list)


def _decoded(part: str, whole: str) -> str:
    if _BAD_PERCENT.search(part):
        raise UsageError(f"{_shown(whole)}: a % in a name is written %25.")
    try:
        name = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{_shown(whole)}: what stands as %XX must be UTF-8.") from None
    if _UNSEEN.search(name):
        raise UsageError(f"{_shown(whole)}: no name holds control characters.")
    return name


def _shown(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
