"""Take the members of a foreign JSON object one by one, and keep the others."""

from typing import Any


class Members:
    """One object of another program's file. Absent, null and an empty text are equal.

    :ivar faults: the errors so far, here and in nested objects; names, never values.
    """

    __slots__ = ("_left", "_where", "faults")  # a large file has a million of these objects

    def __init__(self, value: object, where: str, faults: list[str] | None = None) -> None:
        self.faults: list[str] = [] if faults is None else faults
        self._where = where
        self._left: dict[str, Any] = {}
        if isinstance(value, dict):
            self._left = dict(value)
            if None in value.values():
                self._left = {name: each for name, each in value.items() if each is not None}
        else:
            self.odd("", "must be an object")

    def odd(self, name: str, what: str) -> None:
        """Record that the member ``name`` is invalid."""
        path = ".".join(part for part in (self._where, name) if part)
        self.faults.append(f"{path} {what}" if path else what)

    def text(self, name: str) -> str | None:
        """Take a text; numbers are converted."""
        value = self._left.pop(name, None)
        if isinstance(value, str):
            return value or None
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is not None:
            self.odd(name, "must be text")
        return None

    def text_or_flag(self, name: str) -> str | None:
        """Take a text; true and false become the texts "true" and "false"."""
        value = self._left.get(name)
        if isinstance(value, bool):
            self._left[name] = "true" if value else "false"
        return self.text(name)

    def number(self, name: str) -> int | float:
        """Take a number; 0 if it is missing."""
        value = self._left.pop(name, 0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.odd(name, "must be a number")
            return 0
        return value

    def flag(self, name: str) -> bool:
        """Take true or false; 0 and 1 are accepted."""
        value = self._left.pop(name, False)
        if value not in (0, 1):
            self.odd(name, "must be true or false")
        return value in (1,)

    def whole_number(self, name: str) -> int | None:
        """Take a whole number; a missing one is an error."""
        value = self._left.pop(name, None)
        if type(value) is not int:
            self.odd(name, "is missing" if value is None else "must be a whole number")
            return None
        return value

    def take_objects(self) -> list[dict[str, Any]]:
        """Take all members that are objects."""
        names = [name for name, value in self._left.items() if isinstance(value, dict)]
        return [self._left.pop(name) for name in names]

    def choice(self, name: str, choices: dict[int, str]) -> str | None:
        """Take a number that means one of ``choices``."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if type(value) is not int or value not in choices:
            self.odd(name, "is not a number that this version of Vaultr knows")
            return None
        return choices[value]

    def texts(self, name: str) -> list[str]:
        """Take a list of texts."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str | None) for each in value):
            self.odd(name, "must be a list of texts")
            return []
        return [each for each in value if each is not None]

    def values(self, name: str) -> list[Any]:
        """Take a list of anything."""
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            self.odd(name, "must be a list")
            return []
        return value

    def object(self, name: str) -> dict[str, Any]:
        """Take an object unchanged; empty if it is missing."""
        value = self._left.pop(name, {})
        if not isinstance(value, dict):
            self.odd(name, "must be an object")
            return {}
        return value

    def within(self, name: str) -> "Members":
        """Take an object; a missing one is an error."""
        return Members(self._left.pop(name, None), self._path(name), self.faults)

    def all_within(self, name: str) -> "list[Members]":
        """Take a list of objects."""
        values = self.values(name)
        if not values:
            return []
        path = self._path(name)
        return [
            Members(each, f"{path}[{number}]", self.faults)
            for number, each in enumerate(values, start=1)
        ]

    def forget(self, name: str) -> None:
        """Take a member whose value is not needed."""
        self._left.pop(name, None)

    def rest(self) -> dict[str, Any]:
        """Return the members that were not taken and are not empty."""
        return {name: value for name, value in self._left.items() if value not in ("", [], {})}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name
