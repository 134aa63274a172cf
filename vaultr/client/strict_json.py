"""Parse JSON from outside: exactly what is expected, or an error that names the field."""

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
    """Return one JSON object: UTF-8, without duplicate names or NaN.

    :raises ValueError: the text is not such an object.
    """
    return read_text(data.decode())


def read_text(text: str) -> Json:
    """Return one JSON object, like :func:`read_object`, from text that is already decoded.

    :raises ValueError: the text is not such an object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError("a name is duplicated")
    return read


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


class Fields:
    """The fields of one object; a missing or invalid field raises ``error``.

    The messages contain the field and what was expected, but never its value.
    """

    def __init__(self, value: object, where: str, error: Callable[[str], Exception]) -> None:
        self._where = where
        self._error = error
        if not isinstance(value, dict):
            self._invalid("", "an object")
        self._fields: Json = value

    def text(self, name: str, *, most: int = 1_000_000) -> str:
        """Return a string of at most ``most`` characters."""
        return self._get(name, f"at most {most} characters", str, lambda text: len(text) <= most)

    def token(self, name: str, *, most: int) -> str:
        """Return a string for a header or URL: visible ASCII, not empty."""
        return self._get(
            name,
            f"1 to {most} visible ASCII characters",
            str,
            lambda text: len(text) <= most and _TOKEN.fullmatch(text),
        )

    def count(self, name: str, *, least: int = 0) -> int:
        """Return an integer of at least ``least``."""
        return self._get(
            name,
            f"a whole number from {least}",
            int,
            lambda number: type(number) is int and least <= number < INTEGER_LIMIT,
        )

    def flag(self, name: str) -> bool:
        """Return a boolean."""
        return self._get(name, "true or false", bool)

    def uuid(self, name: str) -> UUID:
        """Return an id."""
        return UUID(self._get(name, "an id", str, _ID.fullmatch))

    def uuid_or_none(self, name: str) -> UUID | None:
        """Return an id, or None for null."""
        return None if self._fields.get(name, ...) is None else self.uuid(name)

    def binary(self, name: str, size: int | None = None) -> bytes:
        """Return base64url as bytes; if ``size`` is set, exactly that many."""
        try:
            data = unb64(self._fields.get(name, ...))
        except ValueError:
            self._invalid(name, "base64url")
        if size is not None and len(data) != size:
            self._invalid(name, f"{size} bytes")
        return data

    def time(self, name: str) -> datetime:
        """Return a time in UTC."""
        text = self._get(name, "a time in UTC", str, _TIME.fullmatch)
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self._invalid(name, "a time in UTC")

    def choice(self, name: str, *choices: str) -> str:
        """Return one of ``choices``."""
        return self._get(name, "one of " + ", ".join(choices), str, lambda text: text in choices)

    def within(self, name: str) -> "Fields":
        """Return the fields of a nested object."""
        return Fields(self._fields.get(name, ...), f"{self._where}.{name}", self._error)

    def within_or_none(self, name: str) -> "Fields | None":
        """Return the fields of a nested object, or None for null."""
        return None if self._fields.get(name, ...) is None else self.within(name)

    def objects(self, name: str) -> Iterator["Fields"]:
        """Yield the objects of a nested list."""
        for index, value in enumerate(self._get(name, "a list", list)):
            yield Fields(value, f"{self._where}.{name}[{index}]", self._error)

    def raw(self) -> Json:
        """Return the object itself, without checks."""
        return self._fields

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def _get(
        self, name: str, expected: str, kind: type[T], holds: Callable[[T], object] = lambda _: True
    ) -> T:
        value = self._fields.get(name, ...)
        if not isinstance(value, kind) or not holds(value):
            self._invalid(name, expected)
        return value

    def _invalid(self, name: str, expected: str) -> NoReturn:
        path = f"{self._where}.{name}" if name else self._where
        raise self._error(f"{path} is not {expected}")
