"""Takes the members of a foreign JSON object one by one, and keeps what nobody asked for."""

from typing import Any


class Members:
    """One object of another program's file. Absent and null are the same, and so is empty text.

    :ivar faults: what was odd so far, here and in objects within; names, never values.
    """

    def __init__(self, value: object, where: str, faults: list[str] | None = None) -> None:
        self.faults: list[str] = [] if faults is None else faults
        self._where = where
        self._left: dict[str, Any] = {}
        if isinstance(value, dict):
            self._left = {name: each for name, each in value.items() if each is not None}
        else:
            self.odd("", "must be an object")

    def odd(self, name: str, what: str) -> None:
        """Note that something is wrong with the member ``name``."""
        path = ".".join(part for part in (self._where, name) if part)
        self.faults.append(f"{path} {what}" if path else what)

    def text(self, name: str) -> str | None:
        """Take a text; a number is one, too."""
        value = self._left.pop(name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            self.odd(name, "must be text")
            return None
        return value or None

    def text_or_flag(self, name: str) -> str | None:
        """Take a text; true and false are the texts that say so."""
        value = self._left.get(name)
        if isinstance(value, bool):
            self._left[name] = "true" if value else "false"
        return self.text(name)

    def flag(self, name: str) -> bool:
        """Take true or false; 0 and 1 are these, too."""
        value = self._left.pop(name, False)
        if value not in (0, 1):
            self.odd(name, "must be true or false")
        return value in (1,)

    def choice(self, name: str, choices: dict[int, str]) -> str | None:
        """Take a number that stands for one of ``choices``."""
        value = self._left.pop(name, None)
        if value is None:
            return None
        if type(value) is not int or value not in choices:
            self.odd(name, "is none of the numbers that this version knows")
            return None
        return choices[value]

    def texts(self, name: str) -> list[str]:
        """Take a list of texts."""
        value = self._left.pop(name, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            self.odd(name, "must be a list of texts")
            return []
        return value

    def within(self, name: str) -> "Members":
        """Take an object; it is odd if there is none."""
        return Members(self._left.pop(name, None), self._path(name), self.faults)

    def all_within(self, name: str) -> "list[Members]":
        """Take a list of objects."""
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            self.odd(name, "must be a list")
            return []
        return [
            Members(each, f"{self._path(name)}[{number}]", self.faults)
            for number, each in enumerate(value, start=1)
        ]

    def forget(self, name: str) -> None:
        """Take a member that says nothing."""
        self._left.pop(name, None)

    def rest(self) -> dict[str, Any]:
        """Give what was not taken and is not empty."""
        return {name: value for name, value in self._left.items() if value not in ("", [], {})}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name
