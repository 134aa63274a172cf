"""Reads JSON that came from elsewhere: exactly what is expected, or one named error."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

from vaultr.protocol.encoding import ID_PATTERN, unb64

Json = dict[str, Any]
T = TypeVar("T")

INTEGER_LIMIT: Final = 1 << 53
_ID = re.compile(ID_PATTERN)
_TOKEN = re.compile(r"[!-~]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def read_object(data: bytes) -> Json:
    """Read one JSON object: UTF-8, no name twice, no NaN.

    :raises ValueError: it is anything else.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name occurs twice")
    return read


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


class Fields:
    """The fields of one object; a field that is missing or odd raises the error it was given.

    The messages name the field and what was expected, never what was found.
    """

    def __init__(self, value: object, where: str, error: Callable[[str], Exception]) -> None:
        self._where = where
        self._error = error
        if not isinstance(value, dict):
            self._odd("", "an object")
        self._fields: Json = value

    def text(self, name: str, *, most: int = 1_000_000) -> str:
        """Give a text of at most ``most`` characters."""
        return self._get(name, f"at most {most} characters", str, lambda text: len(text) <= most)

    def token(self, name: str, *, most: int) -> str:
        """Give a text that can stand in a header or an address: visible ASCII, not empty."""
        return self._get(
            name,
            f"1 to {most} visible ASCII characters",
            str,
            lambda text: len(text) <= most and _TOKEN.fullmatch(text),
        )

    def count(self, name: str, *, least: int = 0) -> int:
        """Give a whole number from ``least``."""
        return self._get(
            name,
            f"a whole number from {least}",
            int,
            lambda number: type(number) is int and least <= number < INTEGER_LIMIT,
        )

    def flag(self, name: str) -> bool:
        """Give true or false."""
        return self._get(name, "true or false", bool)

    def uuid(self, name: str) -> UUID:
        """Give an id."""
        return UUID(self._get(name, "an id", str, _ID.fullmatch))

    def uuid_or_none(self, name: str) -> UUID | None:
        """Give an id, or None for null."""
        return None if self._fields.get(name, ...) is None else self.uuid(name)

    def binary(self, name: str, size: int | None = None) -> bytes:
        """Give base64url as bytes, exactly ``size`` of them where one is given."""
        try:
            data = unb64(self._fields.get(name, ...))
        except ValueError:
            self._odd(name, "base64url")
        if size is not None and len(data) != size:
            self._odd(name, f"{size} bytes")
        return data

    def time(self, name: str) -> datetime:
        """Give a moment in UTC."""
        text = self._get(name, "a time in UTC", str, _TIME.fullmatch)
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self._odd(name, "a time in UTC")

    def choice(self, name: str, *choices: str) -> str:
        """Give one of ``choices``."""
        return self._get(name, "one of " + ", ".join(choices), str, lambda text: text in choices)

    def within(self, name: str) -> "Fields":
        """Give the fields of an object within."""
        return Fields(self._fields.get(name, ...), f"{self._where}.{name}", self._error)

    def within_or_none(self, name: str) -> "Fields | None":
        """Give the fields of an object within, or None for null."""
        return None if self._fields.get(name, ...) is None else self.within(name)

    def objects(self, name: str) -> Iterator["Fields"]:
        """Give each object of a list within."""
        for place, value in enumerate(self._get(name, "a list", list)):
            yield Fields(value, f"{self._where}.{name}[{place}]", self._error)

    def raw(self) -> Json:
        """Give the object itself, unchecked."""
        return self._fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def _get(
        self, name: str, expected: str, kind: type[T], holds: Callable[[T], object] = lambda _: True
    ) -> T:
        value = self._fields.get(name, ...)
        if not isinstance(value, kind) or not holds(value):
            self._odd(name, expected)
        return value

    def _odd(self, name: str, expected: str) -> NoReturn:
        path = f"{self._where}.{name}" if name else self._where
        raise self._error(f"{path} is not {expected}")
