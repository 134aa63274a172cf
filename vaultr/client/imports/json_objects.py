"""Read members of a large foreign JSON value in place, without an object for each of its parts."""

from typing import Any, Final

Object = dict[str, Any]

_EMPTY: Final[tuple[object, ...]] = ("", [], {})


class Objects:
    """The objects inside of one JSON value. Absent, null and an empty text are equal.

    Unlike :class:`json_members.Members` it keeps no list of the members that were not read.
    """

    __slots__ = ("_faults", "_root")

    def __init__(self, root: object) -> None:
        self._faults: list[tuple[Object, str, str]] = []
        self._root: Object = root if isinstance(root, dict) else {}
        if self._root is not root:
            self._odd(self._root, "", "must be an object")

    @property
    def root(self) -> Object:
        """Return the whole value; an empty object if it is something else."""
        return self._root

    def faults(self) -> list[str]:
        """Return the errors so far, with paths and names, but no values."""
        if not self._faults:
            return []
        steps = _steps(self._root)
        return [
            f"{_path(steps, where, name)} {what}".lstrip() for where, name, what in self._faults
        ]

    def _odd(self, parent: Object, name: str, what: str) -> None:
        # The path is only searched if somebody reads the errors.
        self._faults.append((parent, name, what))

    def text(self, parent: Object, name: str) -> str | None:
        """Return a text; numbers are converted."""
        value = parent.get(name)
        if type(value) is str:
            return value or None
        if type(value) is int:
            return str(value)
        if value is not None:
            self._odd(parent, name, "must be text")
        return None

    def text_or_flag(self, parent: Object, name: str) -> str | None:
        """Return a text; true and false become the texts "true" and "false"."""
        value = parent.get(name)
        if isinstance(value, bool):
            return "true" if value else "false"
        return self.text(parent, name)

    def number(self, parent: Object, name: str) -> int | float:
        """Return a number; 0 if it is missing."""
        value = parent.get(name)
        if type(value) is int or type(value) is float:
            return value
        if value is not None:
            self._odd(parent, name, "must be a number")
        return 0

    def flag(self, parent: Object, name: str) -> bool:
        """Return true or false; 0 and 1 are accepted."""
        value = parent.get(name)
        if value is not None and value not in (0, 1):
            self._odd(parent, name, "must be true or false")
        return value in (1,)

    def texts(self, parent: Object, name: str) -> list[str]:
        """Return a list of texts."""
        values = parent.get(name)
        if values is None:
            return []
        if isinstance(values, list):
            texts = [each for each in values if each is not None]
            for each in texts:
                if not isinstance(each, str):
                    break
            else:
                return texts
        self._odd(parent, name, "must be a list of texts")
        return []

    def object(self, parent: Object, name: str) -> Object:
        """Return an object; a missing one is an error."""
        value = parent.get(name)
        if isinstance(value, dict):
            return value
        self._odd(parent, name, "must be an object")
        return {}

    def object_or_empty(self, parent: Object, name: str) -> Object:
        """Return an object; empty if it is missing."""
        return {} if parent.get(name) is None else self.object(parent, name)

    def objects(self, parent: Object, name: str) -> list[Object]:
        """Return a list of objects."""
        values = parent.get(name)
        if values is None:
            return []
        if not isinstance(values, list):
            self._odd(parent, name, "must be a list")
            return []
        for each in values:
            if not isinstance(each, dict):
                return self._only_objects(parent, name, values)
        return values

    def _only_objects(self, parent: Object, name: str, values: list[Any]) -> list[Object]:
        for number, each in enumerate(values, start=1):
            if not isinstance(each, dict):
                self._odd(parent, f"{name}[{number}]", "must be an object")
        return [each if isinstance(each, dict) else {} for each in values]


def rest(parent: Object, known: frozenset[str]) -> Object:
    """Return the members that are neither known nor empty."""
    return {
        name: value
        for name, value in parent.items()
        if name not in known and value is not None and value not in _EMPTY
    }


def _steps(root: Object) -> dict[int, tuple[object, str]]:
    """Return, by the identity of each object and list, its container and its place therein."""
    steps: dict[int, tuple[object, str]] = {}
    left: list[object] = [root]
    while left:
        outer = left.pop()
        inside: list[tuple[str, object]] = []
        if isinstance(outer, dict):
            inside = [(f".{name}", each) for name, each in outer.items()]
        elif isinstance(outer, list):
            inside = [(f"[{number}]", each) for number, each in enumerate(outer, start=1)]
        for step, each in inside:
            if isinstance(each, dict | list):
                steps[id(each)] = outer, step
                left.append(each)
    return steps


def _path(steps: dict[int, tuple[object, str]], parent: object, name: str) -> str:
    path = f".{name}" if name else ""
    while (found := steps.get(id(parent))) is not None:
        parent, step = found
        path = step + path
    return path.removeprefix(".")
