"""Path parameters of routes: ids, revisions and ranges of hashes."""

from typing import Final
from uuid import UUID

from flask import Flask
from werkzeug.routing import BaseConverter, ValidationError

from vaultr.protocol.encoding import ID_PATTERN
from vaultr.wire.strict_json import MAX_INTEGER


def init_app(app: Flask) -> None:
    """Register the converters, and make paths with ``//`` match no route."""
    app.url_map.converters["uuid"] = IdConverter
    app.url_map.converters["revision"] = RevisionConverter
    app.url_map.converters["prefix"] = PrefixConverter
    app.url_map.merge_slashes = False


class IdConverter(BaseConverter):
    """An id in a path: a lower-case UUID with dashes. Any other form is 404."""

    regex = ID_PATTERN

    def to_python(self, value: str) -> UUID:
        """Return the UUID."""
        return UUID(value)


class RevisionConverter(BaseConverter):
    """A revision in a path: a whole number from 1. Any other form is 404."""

    regex = "[1-9][0-9]{0,15}"
    schema: Final = {"type": "integer", "minimum": 1, "maximum": MAX_INTEGER}

    def to_python(self, value: str) -> int:
        """Return the number."""
        number = int(value)
        if number > MAX_INTEGER:
            raise ValidationError
        return number


class PrefixConverter(BaseConverter):
    """The first five hexadecimal digits of a hash. Any other form is 404."""

    regex = "[0-9A-Fa-f]{5}"
    schema: Final = {"type": "string", "pattern": f"^{regex}$"}
