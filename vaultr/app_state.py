"""Values that live as long as one app: pools, keyrings, caches."""

from typing import Any, Final, Generic, TypeVar

from flask import Flask, current_app

T = TypeVar("T")


class AppSlot(Generic[T]):
    """One typed value for each app.

    The module that owns the value creates the slot. To read it you import that module, so the
    import contracts see the dependency and mypy knows the type.

    :param name: unique in the app, such as ``"auth.hash_gate"``.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name

    def set(self, app: Flask, value: T) -> T:
        """Store ``value`` for ``app`` and return it."""
        app.extensions[self.name] = value
        return value

    def get(self, app: Flask | None = None) -> T:
        """Return the value of ``app``, by default of the current app.

        :raises KeyError: ``init_app`` of the owner did not run.
        """
        value: T = _extensions(app)[self.name]
        return value

    def find(self, app: Flask | None = None) -> T | None:
        """Return the value of ``app``, or None if it was never set."""
        value: T | None = _extensions(app).get(self.name)
        return value

    def default(self, value: T, app: Flask | None = None) -> T:
        """Return the value of ``app``; if it was never set, store ``value`` first.

        If several threads call this at the same time, all get the value of the first one.
        """
        stored: T = _extensions(app).setdefault(self.name, value)
        return stored

    def clear(self, app: Flask | None = None) -> T | None:
        """Remove and return the value of ``app``; return None if it was never set."""
        value: T | None = _extensions(app).pop(self.name, None)
        return value


def _extensions(app: Flask | None) -> dict[str, Any]:
    return (current_app if app is None else app).extensions
